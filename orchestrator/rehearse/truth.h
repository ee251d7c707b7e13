/*
 * What really is, in a rehearsal: zones, hosts, what each HAProxy has in its tables. The controller
 * never sees this; it sees what witnesses tell of it (witness.h), late, and not always truly.
 * Nothing here knows the time but what is written into it.
 */
#ifndef REHEARSE_TRUTH_H
#define REHEARSE_TRUTH_H

#include "core/world.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spec;
struct truth;

enum truth_power { TRUTH_ABSENT, TRUTH_OFF, TRUTH_BOOTING, TRUTH_RUNNING, TRUTH_HUNG };

/* What is made from some contents comes to nothing. Which one it is says its last digit. */
enum truth_content {
    TRUTH_CONTENT_WELL,
    TRUTH_CONTENT_NO_BOOT,      /* It hangs before it answers. */
    TRUTH_CONTENT_NO_SERVICE,   /* It is configured, and answers no check. */
    TRUTH_CONTENT_NO_CONFIGURE, /* Its roles fail. */
    TRUTH_CONTENT_OTHER,        /* It comes up as another system than was asked for. */
    TRUTH_CONTENT_ALARMING,     /* It serves, and badly: the refresh's alarm sees it. */
};
#define TRUTH_CONTENTS (TRUTH_CONTENT_ALARMING + 1)
enum truth_content truth_content(const struct truth *truth, uint64_t content);

/* What a witness says, and what it will say when nothing changes until then. */
struct truth_view {
    enum world_health said;
    enum world_health coming; /* UNKNOWN: nothing else than it says. */
    uint64_t turn;            /* Of the event that brings it. */
    bool followed;
};

struct truth_host {
    char id[WORLD_ID_SIZE]; /* The mark on it: whose it is; "" for a machine that nobody has. */
    char machine[WORLD_ID_SIZE]; /* Of a static host: its name; else "". */
    size_t group;                /* Of its mark; WORLD_NONE. */
    size_t zone;
    size_t reserved; /* Static: for this group only; WORLD_NONE: any. */
    bool is_static;  /* It is there whatever anybody does. */
    bool switched;   /* A provider can switch it on and off, and says whether it runs. */

    enum truth_power power;
    uint64_t boot_turn; /* Of the event that ends its boot. */
    int64_t boot_end_ms;
    bool configured;
    unsigned version; /* Of its roles. */
    uint64_t content; /* What it was made from. */
    bool service;     /* Its own part of what it serves works. */
    bool custom;      /* What a check-command would say. */
    bool disk_full;
    bool doomed;   /* Its service never comes up: bad memory, a wrong image. */
    bool wedged;   /* Its service does not come up before it has booted. */
    bool flaps;    /* Its service goes down and up. */
    bool relapses; /* It hangs again a while after each boot, until somebody mends it. */
    bool amnesia;  /* It comes back from its next boot as it was before it was ever configured. */
    bool blind;    /* The prober alone cannot reach it. */
    bool vanished; /* Deleted behind our back: its provider does not know it any more. */
    bool libelled; /* Its provider says it is off, and it runs. */
    int64_t wronged_ms; /* When it last stopped to be blind or libelled. */
    unsigned epoch;     /* Of the last controller that did something to it (S18). */

    /* By the prober. */
    struct truth_view ready;
    struct truth_view alive;
    enum world_power listed;  /* What its provider last told the controller. */
    enum world_power sampled; /* What its provider is about to tell. */

    /* Balancers only: HAProxy's configuration is as the spec wants it; what its controller was last
       told of its tables is no longer true. */
    bool synced;
    bool looked_stale;
    bool look_due;       /* The next look is on its way. */
    bool retired;        /* Detached: nobody manages it any more, it does not count. */
    bool haproxy_silent; /* Its admin socket does not answer. */

    /* What the invariants ask about. */
    bool serving;
    bool traffic;             /* A balancer sends it some. */
    int64_t traffic_since_ms; /* Or: none since. */
    int64_t serving_since_ms; /* Or: not serving since. */
    int64_t restarted_ms;     /* Its service last came up anew. */
    unsigned creations, configures, reboots, cycles;
};

/* A server line of one HAProxy: a member it knows. */
struct truth_server {
    size_t host; /* The balancer's. */
    size_t frontend;
    char member[WORLD_ID_SIZE];
    bool admitted; /* Takes traffic when its check passes; else it drains. */
    bool in_file;  /* It comes back with a reload. */
    struct truth_view check;
};

struct truth_zone {
    bool dark;            /* No power. */
    bool cut;             /* No network to anything outside. */
    bool provider_silent; /* Its provider does not answer. */
    bool sampling;        /* The next list is on its way. */
    bool list_due;        /* What was last told is no longer true. */
    int64_t list_ms; /* When what it last told was true; INT64_MIN: it has not told since start. */
    int64_t list_sampled_ms;
    size_t places; /* How many hosts can be made in it. */
};

struct truth {
    struct truth_zone *zones; /* Beside spec->zones. */
    size_t zone_count;
    struct truth_host *hosts;
    size_t host_count;
    size_t host_capacity;
    struct truth_server *servers;
    size_t server_count;
    size_t server_capacity;
    unsigned *versions;   /* Beside spec->groups: of the roles that the file wants. */
    bool *shared_down;    /* Beside spec->groups: something that all of it need does not answer. */
    bool *image_broken;   /* Beside spec->groups: what is made of it does not boot. */
    bool controller_cut;  /* The controller and its prober reach nothing. */
    bool prober_cut;      /* The prober alone reaches nothing. */
    bool contents_mended; /* Every content is well: what was bad was mended where it lies. */
};

/* BMC: the machines of the file can be switched. */
void truth_init(struct truth *t, const struct spec *spec, bool bmc);
void truth_deinit(struct truth *t);

/* By its mark; WORLD_NONE. */
size_t truth_find(const struct truth *t, const char *id);
/* The same; of a static host by its machine's name, when MACHINE is not "". */
size_t truth_find_machine(const struct truth *t, const char *id, const char *machine);
/* A host with that mark, off. Its index. */
size_t truth_create(struct truth *t, const char *id, size_t group, size_t zone);
/* It is no more, nor is what a balancer on it knew. Its index is another's, or nobody's, then. */
void truth_destroy(struct truth *t, size_t host);
struct truth_server *truth_find_server(struct truth *t, size_t host, size_t frontend,
                                       const char *member);
void truth_put_server(struct truth *t, size_t host, size_t frontend, const char *member);
void truth_drop_server(struct truth *t, size_t host, size_t frontend, const char *member);

/* Its SSH port accepts, asked from beside it. */
bool truth_alive(const struct truth *t, size_t host);
/* Somebody of GROUP works for those that need it. */
bool truth_need_met(const struct truth *t, size_t group);
/* Its health endpoint would say well, asked from beside it. */
bool truth_ready(const struct truth *t, const struct spec *spec, size_t host);
/* Packets from the controller reach it. */
bool truth_reached(const struct truth *t, size_t host);
/* A balancer that takes traffic for FRONTEND, and is seen from outside. */
bool truth_balancing(const struct truth *t, const struct spec *spec, size_t host, size_t frontend);
/*
 * It really serves: in a pool, every balancer that takes traffic sends it some, and there is one;
 * else it is ready.
 */
bool truth_serves(const struct truth *t, const struct spec *spec, size_t host);
/* A balancer that takes traffic would send it a request now. */
bool truth_has_traffic(const struct truth *t, const struct spec *spec, size_t host);
enum world_power truth_power_told(const struct truth *t, size_t host);

#endif
