# Lamplighter. `make` builds, `make demo` shows the main job, `make test` proves it.
CC ?= gcc
PKG_CONFIG ?= pkg-config
# libcurl and libvirt are loaded by the processes that need them: orchestrator/base/library.h.
LINKED = libssh2 sqlite3 jansson libseccomp nettle
LOADED = libcurl libvirt
VERSION := 0.1.0
# Tests and the demo call ip, sysctl and haproxy; a plain `su` leaves their directories out.
export PATH := $(PATH):/usr/sbin:/sbin

SOURCES := $(sort $(wildcard orchestrator/*/*.c))
MAIN := orchestrator/main.c
CORE_SOURCES := $(sort $(wildcard orchestrator/core/*.c))

WARNINGS = -Wall -Wextra -Wconversion -Wshadow -Wswitch-enum -Wstrict-prototypes -Wformat=2 -Werror
CPPFLAGS_ALL = -Iorchestrator -D_GNU_SOURCE -DLAMPLIGHTER_VERSION='"$(VERSION)"' \
	-include base/banned.h
CFLAGS_ALL = -std=c11 -g $(WARNINGS) $(shell $(PKG_CONFIG) --cflags $(LINKED) $(LOADED))
RELEASE_FLAGS = -O2 -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection \
	-fcf-protection -fPIE
RELEASE_LINK = -pie -Wl,-z,relro,-z,now
SANITIZE_FLAGS = -O1 -fsanitize=address,undefined -fno-omit-frame-pointer \
	-fno-sanitize-recover=undefined
LIBRARIES = $(shell $(PKG_CONFIG) --libs $(LINKED)) -linih -lmbedtls -lmbedx509 -lmbedcrypto
# For tests that call more of them than the program does.
LOADED_LIBRARIES = -Wl,--as-needed $(shell $(PKG_CONFIG) --libs $(LOADED)) -Wl,--no-as-needed

OBJECTS := $(SOURCES:%.c=build/obj/%.o)
SAN_OBJECTS := $(SOURCES:%.c=build/san/%.o)
UNIT_SOURCES := $(sort $(wildcard tests/unit/*/*_test.c tests/conformance/*_test.c))
UNIT_TESTS := $(UNIT_SOURCES:%.c=build/%)

.PHONY: all demo test test-programs unit lab-test bench lint setup clean core-pure sim sim-seeds \
	sim-crash sim-mutants install
.DELETE_ON_ERROR:
.SECONDARY:

all: build/lamplighter

# What a build needs is installed on demand: `make setup` says which packages it adds.
setup:
	@tests/setup build

# From nothing to a served LAMP site: sets itself up, builds, makes the lab, proves it.
demo:
	@tests/setup demo
	@$(MAKE) --no-print-directory -s -j2 build/lamplighter build/load
	@vagrant/demo

# Everything that must hold: sets itself up, then unit, conformance and lab tests.
test:
	@tests/run

# The parts of `make test` by themselves.
lint:
	@tests/lint
# The load of the lab tests and the demo.
build/load: tests/lab/load.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(RELEASE_FLAGS) -o $@ $< $(shell $(PKG_CONFIG) --libs libcurl)

LAB_PROGRAMS := build/load build/tests/lab/provider_libvirt_test

lab-test: build/lamplighter build/san/lamplighter $(LAB_PROGRAMS)
	@tests/lab/run tests/lab/*_test.sh

bench:
	@tests/setup bench
	@$(MAKE) --no-print-directory -s -j2 build/lamplighter
	@tests/bench/run

install: build/lamplighter
	install -D -m 755 build/lamplighter $(DESTDIR)/usr/bin/lamplighter
	mkdir -p $(DESTDIR)/usr/share/lamplighter
	cp -r roles $(DESTDIR)/usr/share/lamplighter/
	install -m 644 orchestrator/lamplighter-static.conf $(DESTDIR)/usr/share/lamplighter/
	chmod -R u=rwX,go=rX $(DESTDIR)/usr/share/lamplighter
	install -D -m 644 orchestrator/lamplighter.service \
		$(DESTDIR)/usr/lib/systemd/system/lamplighter.service

build/lamplighter: build/obj/$(MAIN:%.c=%.o) build/liblamplighter.a
	$(CC) $(RELEASE_LINK) -o $@ $^ $(LIBRARIES)

# The same program with the sanitizers in it, for tests.
build/san/lamplighter: build/san/$(MAIN:%.c=%.o) build/san/liblamplighter.a
	$(CC) $(SANITIZE_FLAGS) -o $@ $^ $(LIBRARIES)

build/liblamplighter.a: $(OBJECTS)
	@rm -f $@
	ar rcs $@ $^

build/san/liblamplighter.a: $(SAN_OBJECTS)
	@rm -f $@
	ar rcs $@ $^

build/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(RELEASE_FLAGS) -MMD -MP -c -o $@ $<

build/san/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(SANITIZE_FLAGS) -MMD -MP -c -o $@ $<

# The conformance suites are shared by the tests of each implementation, the fakes by all tests.
TEST_SUPPORT := $(filter-out %_test.c,$(sort $(wildcard tests/conformance/*.c)))

build/san/tests/%.o: CPPFLAGS_ALL += -Itests

build/san/libtests.a: $(TEST_SUPPORT:%.c=build/san/%.o)
	@rm -f $@
	ar rcs $@ $^

build/tests/%: build/san/tests/%.o build/san/libtests.a build/san/liblamplighter.a
	@mkdir -p $(@D)
	$(CC) $(SANITIZE_FLAGS) -o $@ $^ $(LIBRARIES) $(LOADED_LIBRARIES) -lcmocka

# The simulator: the core, the engine of `rehearse` and what of base they need, without sanitizers.
SIM_SOURCES := $(CORE_SOURCES) $(sort $(wildcard orchestrator/rehearse/*.c)) \
	orchestrator/base/mem.c orchestrator/base/str.c orchestrator/base/err.c
SIM_TESTS := $(sort $(wildcard tests/sim/*.c))
SCHEDULES ?= 20000
SEED ?= 1
SIM_FLAGS = -O2 -Itests

build/sim/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(SIM_FLAGS) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# The same with guards that can be taken away.
build/sim-mutants/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(SIM_FLAGS) -DLAMPLIGHTER_MUTANTS $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

build/sim/sim: $(SIM_SOURCES:%.c=build/sim/%.o) $(SIM_TESTS:%.c=build/sim/%.o)
	$(CC) -o $@ $^

build/sim-mutants/sim: $(SIM_SOURCES:%.c=build/sim-mutants/%.o) \
		$(SIM_TESTS:%.c=build/sim-mutants/%.o)
	$(CC) -o $@ $^

# make sim SCHEDULES=1000000 SEED=7; make sim SCHEDULES=1 SEED=42 VERBOSE=1 for a transcript.
sim: build/sim/sim
	@build/sim/sim --schedules $(SCHEDULES) --seed $(SEED) $(if $(VERBOSE),--verbose)

# Seeds that found something once, far from those that `make sim` begins with.
sim-seeds: build/sim/sim
	@build/sim/sim --seeds tests/sim/seeds

# Killed at every one of its store writes and effects.
sim-crash: build/sim/sim
	@build/sim/sim --crash

sim-mutants: build/sim-mutants/sim
	@build/sim-mutants/sim --mutants --schedules 20000 --seed $(SEED)

# The shell functions of every host script are a file of their own, put in by the assembler.
build/obj/orchestrator/role/prelude.o build/san/orchestrator/role/prelude.o: \
	orchestrator/role/prelude.sh

# All that the parts of `make test` run: they go on beside each other, and none builds then.
test-programs: $(UNIT_TESTS) build/san/lamplighter build/sim/sim build/sim-mutants/sim \
		$(LAB_PROGRAMS)

unit: $(UNIT_TESTS) build/san/lamplighter
	@tests/run-unit $(UNIT_TESTS)

# The core is pure: its undefined symbols are these and no other.
core-pure: $(CORE_SOURCES:%.c=build/obj/%.o)
	@tests/core-pure $^

clean:
	rm -rf build

-include $(SIM_SOURCES:%.c=build/sim/%.d) $(SIM_TESTS:%.c=build/sim/%.d)
-include $(SIM_SOURCES:%.c=build/sim-mutants/%.d) $(SIM_TESTS:%.c=build/sim-mutants/%.d)
-include $(OBJECTS:.o=.d) $(SAN_OBJECTS:.o=.d) build/obj/orchestrator/main.d
-include $(UNIT_SOURCES:%.c=build/san/%.d) $(TEST_SUPPORT:%.c=build/san/%.d)
