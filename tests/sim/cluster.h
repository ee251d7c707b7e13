/* A random cluster: what a cluster file could say, made from a seed. */
#ifndef SIM_CLUSTER_H
#define SIM_CLUSTER_H

#include "rehearse/engine.h"

#define CLUSTER_GROUPS   4
#define CLUSTER_ZONES    3
#define CLUSTER_MACHINES 16

struct cluster {
    struct spec spec;
    struct spec_zone zones[CLUSTER_ZONES];
    struct spec_provider providers[CLUSTER_ZONES];
    struct spec_pool pool;
    struct spec_group groups[CLUSTER_GROUPS];
    struct spec_frontend frontend;
    struct spec_route route;
    struct spec_hook hooks[2];
    struct spec_host machines[CLUSTER_MACHINES];
    char machine_names[CLUSTER_MACHINES][48];
    size_t zone_lists[CLUSTER_GROUPS][CLUSTER_ZONES];
    size_t needs[1];
    size_t web; /* The group in the pool. */
    size_t lb;
    size_t db;    /* What web needs; SPEC_NONE. */
    size_t extra; /* A group without a pool; SPEC_NONE. */
    struct engine_pace pace;
};

/* One that a rack could be. */
void cluster_make(struct cluster *c, struct random *random);
/* A plain one, in which everything asked for is possible: three web hosts over two zones, a
   database, a balancer. Nothing fails by itself. */
void cluster_plain(struct cluster *c);

#endif
