/* lamplighter rehearse */
#include "base/log.h"
#include "base/str.h"
#include "cli/session.h"
#include "rehearse/rehearse.h"
#include "spec/spec.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define SEEDS_DEFAULT 20

/* The place of WORD among WORDS; -1 when it is none of them, which is said. */
static int place_of(const char *option, const char *word, const char *const *words)
{
    size_t count = 0;
    for (; words[count] != NULL; count++) {
        if (text_equal(words[count], word)) {
            return (int)count;
        }
    }
    struct str all = STR_NULL;
    for (size_t i = 0; i < count; i++) {
        str_addf(&all, "%s%s", i == 0 ? "" : i + 1 == count ? " or " : ", ", words[i]);
    }
    cli_usage("rehearse", "%s: expected %s, got '%s'", option, str_text(&all), word);
    str_deinit(&all);
    return -1;
}

/* "zone:rack-a" is the zone, and which. */
static int take_loss(const struct cli *cli, const struct spec *spec, struct rehearse_options *o)
{
    const char *word = cli->lose == NULL ? "host" : cli->lose;
    o->zone = SPEC_NONE;
    if (text_starts(word, "zone:")) {
        o->loss = REHEARSE_LOSE_ZONE;
        o->zone = spec_find_zone(spec, word + strlen("zone:"));
        return o->zone == SPEC_NONE ? cli_usage("rehearse", "--lose: there is no zone '%s' in %s",
                                                word + strlen("zone:"), cli->file)
                                    : CLI_DONE;
    }
    int place = place_of("--lose", word, rehearse_losses);
    o->loss = place < 0 ? REHEARSE_LOSE_NOTHING : (enum rehearse_loss)place;
    return place < 0 ? CLI_USAGE : CLI_DONE;
}

static void print_line(void *context, int64_t now_ms, const char *line)
{
    (void)context;
    printf("%3" PRId64 ":%02" PRId64 ".%01" PRId64 "  %s\n", now_ms / 60000, now_ms / 1000 % 60,
           now_ms / 100 % 10, line);
}

/* How far the worst group went below its minimum, and how the end was: greater is worse. */
static int64_t badness(const struct spec *spec, const struct rehearse_result *r)
{
    int64_t worst = r->ended_well ? 0 : 1;
    for (size_t g = 0; g < spec->group_count; g++) {
        const struct rehearse_group *group = &r->groups[g];
        int64_t below = (int64_t)group->minimum - (int64_t)group->lowest;
        bool counts = spec->groups[g].pool != SPEC_NONE;
        worst += counts && below > 0 ? below * 1000000 + group->below_ms / 1000 : 0;
    }
    return worst;
}

static bool broken(const struct spec *spec, const struct rehearse_result *r)
{
    for (size_t g = 0; g < spec->group_count; g++) {
        if (spec->groups[g].pool != SPEC_NONE && r->groups[g].broken) {
            return true;
        }
    }
    return false;
}

static json_t *group_to_json(const struct spec *spec, const struct rehearse_result *r, size_t g)
{
    const struct rehearse_group *group = &r->groups[g];
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:b}", "group", spec->groups[g].name,
                     "desired", (json_int_t)group->desired, "minimum", (json_int_t)group->minimum,
                     "lowest", (json_int_t)group->lowest, "lowest_ms", (json_int_t)group->lowest_ms,
                     "below_minimum_ms", (json_int_t)group->below_ms, "broken", group->broken);
}

static void print_json(const struct spec *spec, const struct rehearse_options *o,
                       const struct rehearse_result *r, unsigned seeds, unsigned broke,
                       json_t *timeline)
{
    json_t *groups = json_array();
    for (size_t g = 0; g < spec->group_count; g++) {
        json_array_append_new(groups, group_to_json(spec, r, g));
    }
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:i, s:i, s:I, s:b, s:s, s:o, s:o}", "cluster", spec->cluster,
                  "lose", rehearse_losses[o->loss], "during", rehearse_durings[o->during], "seeds",
                  (int)seeds, "broken", (int)broke, "worst_seed", (json_int_t)o->seed, "ended_well",
                  r->ended_well, "stuck", r->stuck, "groups", groups, "timeline", timeline);
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

static void keep_line(void *context, int64_t now_ms, const char *line)
{
    json_array_append_new(context, json_pack("{s:I, s:s}", "ms", (json_int_t)now_ms, "text", line));
}

static void print_groups(const struct spec *spec, const struct rehearse_result *r)
{
    printf("%-16s %8s %8s %8s %s\n", "GROUP", "WANTED", "MINIMUM", "LOWEST", "");
    for (size_t g = 0; g < spec->group_count; g++) {
        const struct rehearse_group *group = &r->groups[g];
        printf("%-16s %8zu %8zu %8zu ", spec->groups[g].name, group->desired, group->minimum,
               group->lowest);
        if (group->broken) {
            printf("below its minimum for %" PRId64 " s, lowest at %" PRId64 ":%02" PRId64 "\n",
                   group->below_ms / 1000, group->lowest_ms / 60000, group->lowest_ms / 1000 % 60);
        } else {
            printf("\n");
        }
    }
}

static void print_end(const struct spec *spec, const struct rehearse_options *o,
                      const struct rehearse_result *r, unsigned seeds, unsigned broke)
{
    print_groups(spec, r);
    if (!r->served) {
        printf("cluster %s never came to serve: %s\n", spec->cluster, r->stuck);
    } else if (r->ended_well) {
        printf("all serve again %" PRId64 " s after the loss, without anybody's help\n",
               r->settled_ms / 1000);
    } else {
        printf("it did not come to rest by itself: %s\n", r->stuck);
    }
    printf("cluster %s, %s lost during %s: a minimum was broken in %u of %u runs; above is the "
           "worst (seed %" PRIu64 ")\n",
           spec->cluster, rehearse_losses[o->loss], rehearse_durings[o->during], broke, seeds,
           o->seed);
}

/* The seed that went worst, and how many broke a minimum. */
static unsigned find_worst(const struct spec *spec, struct rehearse_options *o, unsigned seeds)
{
    unsigned broke = 0;
    int64_t worst = -1;
    uint64_t worst_seed = 1;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct rehearse_result result;
        o->seed = seed;
        rehearse_run(spec, o, &result);
        broke += broken(spec, &result) ? 1 : 0;
        int64_t bad = badness(spec, &result);
        worst_seed = bad > worst ? seed : worst_seed;
        worst = bad > worst ? bad : worst;
        rehearse_result_deinit(&result);
    }
    o->seed = worst_seed;
    return broke;
}

int cmd_rehearse(const struct cli *cli)
{
    if (cli->argc > 0) {
        return cli_usage("rehearse", "rehearse takes no word, got '%s'", cli->argv[0]);
    }
    struct site site;
    int status = session_load_site(&site, cli);
    if (status != CLI_DONE) {
        return status;
    }
    struct rehearse_options o = {.seed = 1};
    int during = place_of("--during", cli->during == NULL ? "rest" : cli->during, rehearse_durings);
    status = during < 0 ? CLI_USAGE : take_loss(cli, site.spec, &o);
    if (status != CLI_DONE) {
        site_deinit(&site);
        return status;
    }
    o.during = (enum rehearse_during)during;
    unsigned seeds = cli->seeds == 0 ? SEEDS_DEFAULT : cli->seeds;
    unsigned broke = find_worst(site.spec, &o, seeds);
    json_t *timeline = cli->json ? json_array() : NULL;
    o.on_line = cli->json ? keep_line : print_line;
    o.context = timeline;
    struct rehearse_result result;
    rehearse_run(site.spec, &o, &result);
    if (cli->json) {
        print_json(site.spec, &o, &result, seeds, broke, timeline);
    } else {
        print_end(site.spec, &o, &result, seeds, broke);
    }
    status = broke > 0 ? CLI_REFUSED : result.served && result.ended_well ? CLI_DONE : CLI_FAILED;
    rehearse_result_deinit(&result);
    site_deinit(&site);
    return status;
}
