/*
 * What the controller and its workers say to each other: kinds and tags of messages
 * (base/message.h). A request goes down, any number of PROGRESS, OUTPUT and ITEM messages come up,
 * one RESULT ends it. A kept worker then waits for the next request.
 */
#ifndef CONTROLLER_WIRE_H
#define CONTROLLER_WIRE_H

enum wire_kind {
    /* Requests to the "ssh" worker; all carry WIRE_TARGET and WIRE_DEADLINE. */
    WIRE_GREET = 1, /* SSH answers with the right key; read the facts. */
    WIRE_ROLE,      /* Run a role script. */
    WIRE_EXEC,      /* Run one command. */
    WIRE_COMPARE,   /* Frontend: what would sync change, and the targets. */
    WIRE_SYNC,
    WIRE_ADMIT,
    WIRE_REMOVE, /* TRANSIENT, with nothing done, when WIRE_MINIMUM would not be left. */
    WIRE_LOOK,   /* Frontend: only the targets, as after each of these four. */
    WIRE_REBOOT, /* By its own system; DONE when it is back, with its new WIRE_BOOT_ID. */
    /* WIRE_COMMAND as root, for WIRE_TIMEOUT at most: WIRE_STATUS 0 is healthy. */
    WIRE_CHECK_COMMAND,
    /*
     * A lifecycle hook, on the host; without WIRE_TARGET on this machine, asked of a "hook" worker.
     * WIRE_COMMAND as words, WIRE_HEARTBEAT, WIRE_TIMEOUT for the whole, and what it is told:
     * CLUSTER, GROUP, INSTANCE, ADDRESS, ZONE, TRANSITION. DONE with WIRE_STATUS 0: continue; else
     * abandon, and WIRE_TEXT its last line.
     */
    WIRE_HOOK,
    /* Requests to the "provider" worker. */
    WIRE_LIST = 32,
    WIRE_ENSURE,
    WIRE_DESTROY,
    WIRE_STOP, /* Off, and read back as off; DONE means that it is. */
    WIRE_FILE, /* Before a request: WIRE_NAME, and a descriptor beside it. */
    /* Answers. */
    WIRE_PROGRESS = 64, /* WIRE_TEXT: what it does now. */
    WIRE_OUTPUT,        /* WIRE_STREAM, WIRE_BYTES. */
    WIRE_ITEM,          /* One resource, target or view. */
    WIRE_RESULT,
    WIRE_LOOKED, /* The ITEMs so far were all targets of a balancer, as it is still at work. */
    /* Images. Requests to the "ssh" worker: */
    WIRE_IMAGE_STREAM = 96, /* What WIRE_COMMAND prints goes into the file "stream". */
    /* to the "provider" worker; an ITEM for each thing that no image may carry: */
    WIRE_IMAGE_BUILD, /* The tar stream from the file "stream" into the new WIRE_PATH. */
    WIRE_IMAGE_SCAN,  /* The same stream, only looked at. */
    WIRE_IMAGE_LOOK,  /* The directory or image file WIRE_PATH is looked at. */
};

enum wire_tag {
    WIRE_TARGET = 1, /* Message: ssh_target. */
    WIRE_DEADLINE,   /* Monotonic milliseconds. */
    WIRE_SCRIPT,     /* Message: role_script. */
    WIRE_CHECK,
    WIRE_DIFF,
    WIRE_RESTART, /* ROLE: every service that is to run is started anew, once. */
    WIRE_CLUSTER,
    WIRE_INSTANCE,
    WIRE_OWNER,
    WIRE_EPOCH,     /* The leader's; whoever has seen a higher one refuses (S18). */
    WIRE_LOCK_WAIT, /* Milliseconds. */
    WIRE_COMMAND,
    WIRE_CONFIG, /* Message: frontend_config. */
    WIRE_POOL,
    WIRE_MINIMUM, /* REMOVE: targets of the pool that must be UP on this balancer without it. */
    WIRE_ADDRESS,
    WIRE_PORT,
    WIRE_PROVIDER,
    WIRE_ZONE,
    WIRE_URI,
    WIRE_BRIDGE,
    WIRE_IMAGE_DIR,
    WIRE_INSTANCE_DIR,
    WIRE_PROVIDER_TYPE,
    WIRE_GROUP,
    WIRE_IMAGE, /* Also in answers: "web@3". */
    WIRE_CPUS,
    WIRE_MEMORY,
    WIRE_PREFIX,
    WIRE_GATEWAY,
    WIRE_LOGIN_KEY,
    WIRE_PATIENCE, /* GREET: milliseconds in which a host that does not answer may still come up. */
    WIRE_TIMEOUT,  /* CHECK_COMMAND, HOOK: milliseconds. */
    WIRE_HEARTBEAT,  /* HOOK: milliseconds of silence that end it. */
    WIRE_TRANSITION, /* HOOK: "launching", "terminating". */
    WIRE_KEY_ONLY,   /* GREET: the host key is all that is asked; the facts are not read. */

    WIRE_TEXT = 100,
    WIRE_STREAM,
    WIRE_BYTES,
    WIRE_OUTCOME, /* enum work_outcome. */
    WIRE_STATUS,  /* EXEC, CHECK_COMMAND, HOOK: exit status. Role items: enum role_result_status. */
    WIRE_CHANGED, /* ROLE: resources changed. SYNC: the file was. REMOVE: sessions cut. */
    WIRE_COUNT,   /* ROLE: resources in all. Balancers: targets. */
    WIRE_FACTS,   /* JSON text. */
    WIRE_HOST_KEY, /* GREET: the host's, then its bastions', the nearest to it first. */
    WIRE_ROLE_NAME,
    WIRE_TYPE,
    WIRE_NAME,
    WIRE_TIME,  /* Milliseconds. Targets: in this state. */
    WIRE_POWER, /* enum provider_power. */
    WIRE_STATE, /* enum frontend_target_state. */
    WIRE_SESSIONS,
    WIRE_RELOADED,
    WIRE_BOOT_ID, /* GREET, REBOOT: which boot of the host this is (boot.h). */
    WIRE_TRIES,   /* Targets: counted since the balancer was reloaded (struct frontend_target). */
    WIRE_FAILED,
    WIRE_RESPONSE_TIME,

    WIRE_IMAGE_KEYS = 200, /* Provider requests: path of the public keys that images need. */
    WIRE_PATH,
    WIRE_WITHOUT,     /* Any number: a path to leave out. */
    WIRE_SECRET_NAME, /* Any number, each with WIRE_SECRET behind it. */
    WIRE_SECRET,
    WIRE_STRICT, /* IMAGE_LOOK: it is sealed already; what would be left out is an item. */
    WIRE_TREE,   /* image/tree.h's text. */
    WIRE_TREE_DIGEST,
    WIRE_ENTRIES,
    WIRE_SIZE,     /* Bytes of all files. */
    WIRE_PACKAGES, /* JSON text, as the next but two. */
    WIRE_RELEASE,
    WIRE_ARCHITECTURE,
    WIRE_LEFT_OUT,
    WIRE_BLOCKS, /* IMAGE_BUILD: the file's SHA-256 and its size. */
    WIRE_BLOCKS_SIZE,
    WIRE_IDENTITY,   /* IMAGE_BUILD: what the image is to say of itself (image/identity.h). */
    WIRE_BUILD,      /* With WIRE_IMAGE: what a root was made of; GREET: what the host says. */
    WIRE_CONTENT,    /* Digest of what a root was made of. */
    WIRE_MACHINE_ID, /* GREET: the host's; provider answers: what it is to be. */
};

/* How a request ended. */
enum work_outcome {
    WORK_DONE,
    WORK_TRANSIENT, /* The line or a deadline: worth another try. WIRE_TEXT says what. */
    WORK_PERMANENT, /* A human must look. WIRE_TEXT says at what. */
};

#endif
