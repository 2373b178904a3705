# czhpc: make help
CC      := $(or $(MPICC),mpicc)
CONFIG  ?= release
SAN     ?=
PREFIX  ?= /usr/local
BUILD   := build/$(CONFIG)$(if $(SAN),-$(SAN))
PYTHON  ?= python3
# As many jobs as there are cores, unless the command line, or a make above, says how many.
ifeq (,$(filter -j% --jobserver%,$(MAKEFLAGS))$(filter-out 0,$(MAKELEVEL)))
MAKEFLAGS += -j$(shell nproc)
endif

PACKAGES := hdf5-openmpi|hdf5-mpich|hdf5-mpi yaml-0.1 jansson openblas lapacke liblzf libdeflate|zlib
include tools/packages.mk

# Sanitizers make gcc warn of what it only fears: there, warnings stay warnings.
WARN     := -Wall -Wextra -Wshadow -Wvla $(if $(SAN)$(filter fuzz,$(CONFIG)),,-Werror)
# -g1: all of -g takes a third of the time to build; CONFIG=debug has it.
OPTIMISE_release := -O3 -g1
OPTIMISE_debug   := -Og -g3
OPTIMISE_emulated := $(OPTIMISE_release)
OPTIMISE_fuzz    := -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all \
	-fsanitize=fuzzer-no-link,address,undefined
SANITIZE := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
CFLAGS   += -std=c11 $(WARN) $(OPTIMISE_$(CONFIG)) $(SANITIZE)
CPPFLAGS += -D_GNU_SOURCE -Iinclude -MMD -MP -DCZ_SHARE='"$(PREFIX)/share/czhpc"' \
	-DCZ_LIB='"$(PREFIX)/lib/czhpc"' $(PKG_CFLAGS) \
	$(if $(filter libdeflate,$(FOUND)),-DCZ_LIBDEFLATE)
LDLIBS   += $(PKG_LIBS) -lpthread -lm -ldl
# What a plug-in calls is czhpc's own.
LDFLAGS  += $(SANITIZE) -rdynamic

SOURCES := $(filter-out src/main.c,$(wildcard src/*/*.c))
LIBRARY := $(BUILD)/libczhpc.a
# The CPU kernels are compiled once for each type and instruction level; src/ops/levels.mk
# adds those objects.
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
-include src/ops/levels.mk
include cuda/build.mk

TESTS     := $(patsubst %.c,$(BUILD)/%,$(wildcard validation/test_*.c)) $(BUILD)/validation/test_fibers
MPI_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard validation/mpi_*.c))
SCRIPTS   := $(wildcard validation/test_*.sh)
PLAYERS   := $(patsubst %.c,$(BUILD)/%,$(wildcard validation/play_*.c))

.DEFAULT_GOAL := all
.PHONY: all check demo figures lint bench levels emulate gpu-check gpu-node validate slurm-check mutants fuzz fuzzers install clean help FORCE

all: czhpc ## build ./czhpc; with CUDA=1 the plug-in for GPUs, libczhpc_cuda.so, too (needs nvcc)

czhpc: $(BUILD)/czhpc
	@cp -f $< $@

$(BUILD)/czhpc: $(BUILD)/src/main.o $(LIBRARY)
	@echo "ld  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(LIBRARY): $(OBJECTS)
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "cc  $<"
	@	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/tools/%: tools/%.c $(LIBRARY)
	@mkdir -p $(@D)
	@echo "cc  $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LIBRARY) $(LDLIBS)

$(BUILD)/validation/%: validation/%.c $(LIBRARY)
	@mkdir -p $(@D)
	@echo "cc  $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -Ivalidation $(LDFLAGS) -o $@ $< $(LIBRARY) $(LDLIBS)

# Rebuild everything when a flag changes.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CPPFLAGS) $(CFLAGS)' | cmp -s - $@ || echo '$(CC) $(CPPFLAGS) $(CFLAGS)' > $@

check: czhpc $(EMULATED) $(TESTS) $(MPI_TESTS) $(PLAYERS) ## build and run every test; SAN=address|undefined|thread, ONLY=part of a name
	@CZHPC=$(BUILD)/czhpc BUILD=$(BUILD) ONLY='$(ONLY)' validation/run_checks.sh $(TESTS) -- $(MPI_TESTS) -- $(SCRIPTS)

demo: czhpc ## train the demo on 2 ranks, into a new folder under results/
	@OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
	    mpirun -np 2 ./czhpc configs/demo.yaml --name demo-$$(date +%Y%m%d-%H%M%S)

figures: ## draw the figures of a run again: RUN=results/NAME
	@tools/figures.sh '$(RUN)'

# The library as clang sees it, without the parts that no target calls; make fuzz sets CONFIG.
FUZZERS   := $(patsubst %.c,$(BUILD)/%,$(wildcard validation/fuzz/fuzz_*.c))
FUZZED    := $(filter $(foreach d,base comm config data h5 model nn ops store,$(BUILD)/src/$d/%),$(OBJECTS))
FUZZ_LIBS := $(BUILD)/libfuzzed.a

$(FUZZ_LIBS): $(FUZZED)
	@rm -f $@
	@$(AR) rcs $@ $^

$(BUILD)/validation/fuzz/%: validation/fuzz/%.c $(FUZZ_LIBS)
	@mkdir -p $(@D)
	@echo "cc  $<"
	@$(CC) $(CPPFLAGS) -Isrc $(CFLAGS) -fsanitize=fuzzer -o $@ $< $(FUZZ_LIBS) $(LDLIBS)

fuzzers: $(FUZZERS)

fuzz: ## feed the parsers what libFuzzer makes up (needs tools/setup.sh --fuzz); ONLY=, SECONDS=600 each
	@OMPI_CC=clang MPICH_CC=clang $(MAKE) --no-print-directory CONFIG=fuzz fuzzers
	@BUILD=build/fuzz ONLY='$(ONLY)' FUZZ_SECONDS='$(or $(SECONDS),600)' validation/fuzz/run.sh

lint: ## formatting, layering, clang-tidy, cppcheck
	@tools/lint.sh $(CPPFLAGS)

bench: czhpc $(BUILD)/tools/bench/machine $(BUILD)/validation/dump_cells ## czhpc beside PyTorch and transformers in one run (needs tools/setup.sh --bench)
	@tools/bench.sh

# Tests of operations: on every variant of the CPU kernels, and on GPUs.
LEVEL_TESTS := $(patsubst %,$(BUILD)/validation/test_%,gemm linear rows attention norm pool loss heads bf16 model model_pytorch)
levels: $(LEVEL_TESTS) ## test every variant of the CPU kernels that this processor has; writes validation/levels.md
	@validation/levels.sh validation/levels.md $(LEVEL_TESTS)

ifeq ($(CONFIG),emulated)
emulate: $(LEVEL_TESTS)
	@validation/levels.sh $(BUILD)/levels.md $(LEVEL_TESTS)
else
emulate: ## the same for AMX by AVX512_BF16, on processors without it; writes build/emulated/levels.md
	@$(MAKE) --no-print-directory CONFIG=emulated emulate
endif

# On a GPU, real or, by CZHPC_CUDA_PLUGIN, emulated.
GPU_TESTS := $(LEVEL_TESTS) $(patsubst %,$(BUILD)/validation/%,test_operation_order mpi_gpu dump_cells)
gpu-check: czhpc $(PLUGIN) $(GPU_TESTS) ## check and measure on this machine's GPU (needs nvcc): PARTS=, see tools/gpu-check.sh --help
	@BUILD=$(BUILD) tools/gpu-check.sh $(PARTS)

gpu-node: czhpc $(PLUGIN) $(GPU_TESTS) ## pack czhpc with all it opens, for a GPU's machine where nothing can be installed (needs nvcc)
	@BUILD=$(BUILD) tools/gpu-node.sh --plugin $(PLUGIN)

validate: czhpc $(TESTS) $(PLAYERS) $(BUILD)/validation/dump_cells mutants ## regenerate the fixtures from their oracles and compare (needs tools/setup.sh --validate)
	@validation/validate.sh

slurm-check: czhpc ## the scripts of jobs/ under a SLURM of two emulated nodes (needs root, tools/setup.sh --slurm); ONLY=
	@CZHPC=$(BUILD)/czhpc validation/slurm/check.sh $(ONLY)

mutants: $(BUILD)/validation/mpi_mutants ## load 3,000 damaged files (3 minutes)
	@OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 CZHPC_MUTANTS=3000 \
	    mpirun -np 1 $< 2>$(BUILD)/mutants.log

VERSION = $(shell sed -n 's/^.define CZ_VERSION "\(.*\)"/\1/p' include/czhpc/version.h)
install: all ## copy czhpc, its configs, batch scripts and a modulefile under PREFIX
	install -D -m 755 $(BUILD)/czhpc $(DESTDIR)$(PREFIX)/bin/czhpc
	$(if $(filter 1,$(CUDA)),install -D -m 755 $(PLUGIN) $(DESTDIR)$(PREFIX)/lib/czhpc/libczhpc_cuda.so)
	install -d $(DESTDIR)$(PREFIX)/share/czhpc/configs
	install -m 644 configs/* $(DESTDIR)$(PREFIX)/share/czhpc/configs
	install -d $(DESTDIR)$(PREFIX)/share/czhpc/jobs
	install -m 644 jobs/* $(DESTDIR)$(PREFIX)/share/czhpc/jobs
	install -D -m 644 tools/packaging/modulefile $(DESTDIR)$(PREFIX)/share/modulefiles/czhpc/$(VERSION)

clean: ## remove what was built
	rm -rf build czhpc libczhpc_cuda.so

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

-include $(OBJECTS:.o=.d) $(BUILD)/src/main.d $(TESTS:=.d) $(MPI_TESTS:=.d) $(PLAYERS:=.d) $(FUZZERS:=.d)
