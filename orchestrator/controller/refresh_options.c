#include "controller/refresh_options.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/words.h"
#include "image/image_store.h"

#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char *const policies[] = {
    [WORLD_REFRESH_WAIT] = "wait",
    [WORLD_REFRESH_REPLACE] = "replace",
    [WORLD_REFRESH_IGNORE] = "ignore",
};
#define POLICY_COUNT (sizeof(policies) / sizeof(policies[0]))

void refresh_options_deinit(struct refresh_options *options)
{
    free(options->image);
    free(options->alarm);
    *options = REFRESH_OPTIONS_NULL;
}

int refresh_policy_from_string(const char *text, enum world_refresh_policy *ret_policy,
                               struct err *e)
{
    for (size_t i = 0; i < POLICY_COUNT; i++) {
        if (text_equal(policies[i], text)) {
            *ret_policy = (enum world_refresh_policy)i;
            return 0;
        }
    }
    return err_set(e, "expected wait, replace or ignore, got '%s'", text);
}

int refresh_options_set_checkpoints(struct refresh_options *options, const char *text,
                                    struct err *e)
{
    size_t count = 0;
    const char *at = text;
    do {
        size_t length = strcspn(at, ",");
        char *word = xstrndup(at, length);
        int64_t percent;
        bool good = text_to_int(word, 1, 99, &percent) &&
                    (count == 0 || percent > options->checkpoints[count - 1]);
        free(word);
        if (!good) {
            return err_set(e, "expected percentages from 1 to 99, ascending ('20,50'), got '%s'",
                           text);
        }
        if (count == WORLD_CHECKPOINTS_MAX) {
            return err_set(e, "at most %d checkpoints", WORLD_CHECKPOINTS_MAX);
        }
        options->checkpoints[count++] = (unsigned)percent;
        at += length + (at[length] == ',' ? 1 : 0);
    } while (*at != '\0' || (at > text && at[-1] == ','));
    options->checkpoint_count = count;
    return 0;
}

static int check_alarm(const struct refresh_options *options, struct err *e)
{
    char **words;
    size_t count;
    if (options->alarm == NULL) {
        return 0;
    }
    if (words_split(options->alarm, &words, &count, e) != 0) {
        return err_wrap(e, "--alarm");
    }
    words_free(words);
    if (options->alarm_every_ms < REFRESH_ALARM_EVERY_MS_MIN) {
        return err_set(e, "--alarm-every: at least %d ms", REFRESH_ALARM_EVERY_MS_MIN);
    }
    return 0;
}

int refresh_options_check(const struct refresh_options *options, struct err *e)
{
    struct image_ref ref;
    if (options->image != NULL && image_ref_parse(options->image, &ref, e) < 0) {
        return -1;
    }
    if (options->image != NULL && options->template != 0) {
        return err_set(e, "--image and --template exclude each other: a version says its image");
    }
    if (options->warm_up_ms < 0 || options->bake_ms < 0 || options->checkpoint_delay_ms < -1) {
        return err_set(e, "a time is negative");
    }
    if (options->checkpoint_delay_ms >= 0 && options->checkpoint_count == 0) {
        return err_set(e, "--checkpoint-delay needs --checkpoints");
    }
    return check_alarm(options, e);
}

/* As JSON. */

static void put_time(json_t *object, const char *name, int64_t ms, int64_t unless_ms)
{
    if (ms != unless_ms) {
        json_object_set_new(object, name, json_integer(ms));
    }
}

static void put_flag(json_t *object, const char *name, bool on)
{
    if (on) {
        json_object_set_new(object, name, json_true());
    }
}

static void put_text(json_t *object, const char *name, const char *text)
{
    if (text != NULL) {
        json_object_set_new(object, name, json_string(text));
    }
}

char *refresh_options_to_text(const struct refresh_options *o)
{
    json_t *object = json_object();
    put_text(object, "image", o->image);
    put_time(object, "template", o->template, 0);
    put_flag(object, "all", o->all);
    put_flag(object, "no-rollback", o->no_rollback);
    put_flag(object, "allow-downgrade", o->allow_downgrade);
    put_time(object, "warm-up", o->warm_up_ms, 0);
    put_time(object, "bake", o->bake_ms, 0);
    put_time(object, "checkpoint-delay", o->checkpoint_delay_ms, -1);
    put_text(object, "alarm", o->alarm);
    put_time(object, "alarm-every", o->alarm_every_ms, REFRESH_ALARM_EVERY_MS);
    put_text(object, "protected",
             o->protected_ones == WORLD_REFRESH_WAIT ? NULL : policies[o->protected_ones]);
    put_text(object, "standby",
             o->standby_ones == WORLD_REFRESH_WAIT ? NULL : policies[o->standby_ones]);
    if (o->checkpoint_count > 0) {
        struct str text = STR_NULL;
        for (size_t i = 0; i < o->checkpoint_count; i++) {
            str_addf(&text, "%s%u", i > 0 ? "," : "", o->checkpoints[i]);
        }
        put_text(object, "checkpoints", str_text(&text));
        str_deinit(&text);
    }
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(object);
    char *copy = xstrdup(text == NULL ? "{}" : text);
    free(text);
    return copy;
}

static bool take_flag(const json_t *value, bool *ret_on)
{
    *ret_on = json_is_true(value);
    return json_is_boolean(value);
}

static bool take_time(const json_t *value, int64_t *ret_ms)
{
    *ret_ms = json_integer_value(value);
    return json_is_integer(value);
}

static bool take_version(const json_t *value, unsigned *ret_number)
{
    json_int_t number = json_integer_value(value);
    *ret_number = (unsigned)number;
    return json_is_integer(value) && number >= 1 && number <= INT_MAX;
}

static bool take_text(const json_t *value, char **ret_text)
{
    if (!json_is_string(value) || *ret_text != NULL) {
        return false;
    }
    *ret_text = xstrdup(json_string_value(value));
    return true;
}

/* One that it knows, and of the right type. */
static bool take(struct refresh_options *o, const char *name, const json_t *value, struct err *e)
{
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    if (text_equal(name, "image")) {
        return take_text(value, &o->image);
    }
    if (text_equal(name, "template")) {
        return take_version(value, &o->template);
    }
    if (text_equal(name, "alarm")) {
        return take_text(value, &o->alarm);
    }
    if (text_equal(name, "all")) {
        return take_flag(value, &o->all);
    }
    if (text_equal(name, "no-rollback")) {
        return take_flag(value, &o->no_rollback);
    }
    if (text_equal(name, "allow-downgrade")) {
        return take_flag(value, &o->allow_downgrade);
    }
    if (text_equal(name, "warm-up")) {
        return take_time(value, &o->warm_up_ms);
    }
    if (text_equal(name, "bake")) {
        return take_time(value, &o->bake_ms);
    }
    if (text_equal(name, "checkpoint-delay")) {
        return take_time(value, &o->checkpoint_delay_ms);
    }
    if (text_equal(name, "alarm-every")) {
        return take_time(value, &o->alarm_every_ms);
    }
    if (text_equal(name, "checkpoints")) {
        return refresh_options_set_checkpoints(o, text, e) == 0;
    }
    if (text_equal(name, "protected")) {
        return refresh_policy_from_string(text, &o->protected_ones, e) == 0;
    }
    if (text_equal(name, "standby")) {
        return refresh_policy_from_string(text, &o->standby_ones, e) == 0;
    }
    return false;
}

static int take_all(struct refresh_options *options, json_t *object, struct err *e)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        struct err why = ERR_NULL;
        if (!take(options, name, value, &why)) {
            return err_set(e, "option '%s': %s", name,
                           why.text[0] == '\0' ? "this controller knows no such option or value"
                                               : why.text);
        }
    }
    return refresh_options_check(options, e);
}

int refresh_options_from_text(const char *text, struct refresh_options *ret_options, struct err *e)
{
    struct refresh_options options = REFRESH_OPTIONS_NULL;
    json_t *object = json_loads(text == NULL ? "{}" : text, 0, NULL);
    int result = json_is_object(object) ? take_all(&options, object, e)
                                        : err_set(e, "its options cannot be read");
    json_decref(object);
    if (result != 0) {
        refresh_options_deinit(&options);
        return -1;
    }
    *ret_options = options;
    return 0;
}
