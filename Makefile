# baddiff: one non-recursive Makefile. `make help` lists the verbs and the settings.
ifneq ($(filter default undefined,$(origin CC)),)
CC      := $(or $(firstword $(foreach c,gcc clang,$(if $(shell command -v $(c)),$(c)))),cc)
endif
CFLAGS  ?= -O2 -g
PROFILE ?= mini
THREADS ?= $(if $(LAUNCH),,$(shell nproc 2>/dev/null || echo 1))
SAN     ?=
WERROR  ?= 0
V       ?= 0
comma   := ,
CONFIG  := $(if $(SAN),san-$(subst $(comma),-,$(SAN)),release)$(if $(findstring clang,$(CC)),-clang)
BUILD   ?= build/$(CONFIG)
Q       := $(if $(filter 1,$(V)),,@)
export CC PROFILE THREADS LAUNCH ALL FULL SET BUILD NO_INSTALL DRY CHECK SBATCH_ARGS SLURM_MAX SLURM_TRIES SLURM_POLL SLURM_STALL

# What this compiler knows of the OpenSSF hardening guide is asked once and kept.
HARDEN_WISH := -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -mbranch-protection=standard \
    -ftrivial-auto-var-init=zero -fstrict-flex-arrays=3 -fno-delete-null-pointer-checks -fno-strict-overflow \
    -fno-strict-aliasing -Wtrampolines -Wbidi-chars=any -Wimplicit-fallthrough -Wformat=2 -Werror=format-security \
    -Wl,-z,nodlopen -Wl,-z,noexecstack -Wl,-z,relro -Wl,-z,now -Wl,--as-needed -Wl,--no-copy-dt-needed-entries
NO_BUILD := help clean lint fetch deps
ifneq ($(filter-out $(NO_BUILD),$(or $(MAKECMDGOALS),all)),)
include $(BUILD)/gen/flags.mk
endif

# An optimised build without a sanitizer also gets checked libc calls (they need both).
FORTIFY   := $(if $(SAN)$(filter -O0 -Og,$(CFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
SAN_FLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -Isrc -I$(BUILD)/gen $(CPPFLAGS) $(CFLAGS) -ffp-contract=off -fno-math-errno -fPIE \
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wpointer-arith \
    $(filter-out -Wl$(comma)%,$(HARDEN)) $(FORTIFY) $(SAN_FLAGS)
ALL_LDFLAGS = -pie $(filter -Wl$(comma)%,$(HARDEN)) $(LDFLAGS) $(SAN_FLAGS)
ALL_LDLIBS  = $(LDLIBS) -lcsv -lpng -ljpeg -lzip -lz -ljansson -linih -lcrypto -lopenblas -lgomp $(CUDA_LDLIBS) -lm -lpthread -ldl
COMPILE     = $(CC) $(ALL_CFLAGS) -ffile-prefix-map=$(CURDIR)=. $(if $(filter 1,$(WERROR)),-Werror) -MMD -MP

# The kernels of src/cpu/*_kernels.c are compiled once an instruction set and chosen at run time.
VEC_SRC    := $(sort $(wildcard src/cpu/*_kernels.c))
VEC_ISA    := $(if $(filter x86_64-%,$(shell $(CC) -dumpmachine)),avx2 avx512,base)
VEC_avx2   := -mavx2 -mfma
VEC_avx512 := -mavx2 -mfma -mavx512f -mavx512vl -mavx512dq -mavx512bw -mprefer-vector-width=512
VEC_base   :=
VEC_UNHARD  = $(if $(filter -ftrivial%,$(HARDEN)),-ftrivial-auto-var-init=uninitialized)

include kernels/kernels.mk

LIB_SRC   := $(sort $(filter-out src/cli/% $(VEC_SRC) $(if $(KERNEL_OBJ),src/cuda/none.c),$(wildcard src/*/*.c)))
LIB_OBJ   := $(LIB_SRC:%.c=$(BUILD)/%.o) $(foreach isa,$(VEC_ISA),$(VEC_SRC:%.c=$(BUILD)/%_$(isa).o)) $(KERNEL_OBJ)
CLI_OBJ   := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard src/cli/*.c)))
HELP_OBJ  := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/ref/*.c) $(filter-out tests/test_%,$(wildcard tests/*.c))))
TESTS     := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/test_*.c))) $(sort $(wildcard tests/test_*.sh))
TEST_PROG := $(filter $(BUILD)/%,$(TESTS))
ALL_OBJ   := $(LIB_OBJ) $(CLI_OBJ) $(HELP_OBJ) $(EMU_OBJ) $(TEST_PROG:=.o)
PROGRAM   := $(if $(wildcard src/cli/main.c),$(BUILD)/baddiff)

.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
.PHONY: all tests test reproduce slurm figures regress report appendix verify bench bench-peer growth lint fetch deps deps-first clean help FORCE

all: $(PROGRAM) $(BUILD)/libbaddiff.a ## build the program (build/release/baddiff)

tests: $(PROGRAM) $(TESTS) $(BUILD)/baddiff-emulated ## build the test programs without running them

test: tests ## install what is missing, build, run the whole test suite
	@scripts/run-tests $(if $(JUNIT),--junit $(JUNIT)) $(BUILD) $(TESTS)

reproduce: $(BUILD)/baddiff ## run the recipes of PROFILE, draw the figures, compare with what is expected
	+@scripts/reproduce

slurm: $(BUILD)/baddiff ## the same as Slurm job arrays (SBATCH_ARGS='--partition=...', DRY=1: only print; docs/cluster.md)
	@scripts/reproduce --slurm

figures: ## draw results/PROFILE/figures from the CSVs that are there
	@scripts/figures $(PROFILE)

regress: $(BUILD)/baddiff ## compare results/PROFILE with experiments/expected; fails outside a band
	@$(BUILD)/baddiff regress --profile $(PROFILE)

report: ## write results/PROFILE/index.html, one page with all of it
	@scripts/report $(PROFILE)

appendix: $(BUILD)/baddiff ## write docs/artifact-appendix.md: each claim, its command, its price
	@BADDIFF=$(BUILD)/baddiff scripts/appendix

verify: $(BUILD)/baddiff ## is results/PROFILE, with all that stands behind it, still what was made? names each file that changed
	@$(BUILD)/baddiff verify results/$(PROFILE)

bench-peer: $(BUILD)/baddiff ## development: time the UNets here and in PyTorch + diffusers, turn by turn (PEER_PYTHON=python3)
	@$(or $(PEER_PYTHON),python3) tests/peer/bench.py --baddiff $(BUILD)/baddiff --threads $(or $(THREADS),2) $(PEER_ARGS)

growth: $(BUILD)/baddiff ## development: how time and memory grow with batch, steps, channels, side, threads (GROWTH_ARGS=...)
	@scripts/growth --program $(BUILD)/baddiff $(GROWTH_ARGS)

bench: $(BUILD)/baddiff ## measure speed and memory of both networks on this machine
	@$(BUILD)/baddiff bench --threads $(or $(THREADS),0)

lint: ## format, clang-tidy, cppcheck, shellcheck, layers, header labels (ALL=1: every file, not only changed ones)
	@scripts/lint

fetch: ## fetch optional inputs: make fetch DATA=name, or DATA='authors-*'; without DATA, list them
	@set -f; data-fetch/fetch $(DATA)

deps: ## install the missing Debian/Ubuntu packages (NO_INSTALL=1: only name them)
	@scripts/deps

clean: ## remove this configuration's build folder; runs and results stay
	rm -rf $(BUILD)

help: ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile tests/fuzz/fuzz.mk tests/faults/faults.mk tests/gpu/gpu.mk | sed -E 's/:.*## /\t/' | expand -t 12
	@printf '%s\n' '' 'settings (VAR=value):' \
	    '  PROFILE=NAME        smoke, mini, core, paper THREADS=N    worker threads (default: all cores)' \
	    '  ALL=1               the supplement too       LAUNCH=CMD   prefix of each stage, with -jN on a cluster:' \
	    "  FULL=1              whole grids, uncut                    LAUNCH='srun -c 8' -j64" \
	    '  SET=A.B=VALUE       a setting on top of every recipe (several: SET="..." with spaces)' \
	    '  DRY=1               only print the plan      CHECK=0      start although something is missing' \
	    '  NO_INSTALL=1        no package manager       CC=clang     another compiler, own build folder' \
	    '  SAN=address,undefined  sanitizer build       WERROR=1     warnings are errors   V=1  show commands'

# Goals that promise a fresh machine install packages; the others only say what is missing.
DEPS_MODE := $(if $(filter test reproduce,$(MAKECMDGOALS)),$(if $(filter-out 0,$(NO_INSTALL)),--warn),--warn)
deps-first:
	@scripts/deps $(DEPS_MODE)

$(BUILD)/gen/flags.mk: scripts/cc-flags Makefile
	@mkdir -p $(@D)
	@echo "HARDEN := $$(scripts/cc-flags '$(CC)' $(HARDEN_WISH))" >$@.tmp && mv $@.tmp $@

# Objects are rebuilt when the compiler or a flag changes.
$(BUILD)/gen/flags.stamp: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(ALL_CFLAGS) $(VEC_avx512)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS) $(VEC_avx512)' >$@

$(BUILD)/gen/bd_version.h: FORCE
	@scripts/version $@

$(ALL_OBJ): $(BUILD)/gen/flags.stamp | deps-first $(BUILD)/gen/bd_version.h

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(COMPILE) -c -o $@ $<

define vec_rule
$(BUILD)/src/cpu/%_kernels_$(1).o: src/cpu/%_kernels.c
	@mkdir -p $$(@D)
	@echo "  CC    $$< ($(1))"
	$$(Q)$$(COMPILE) -O3 $$(VEC_$(1)) $$(VEC_UNHARD) -DBD_ISA=$(1) -c -o $$@ $$<
endef
$(foreach isa,$(VEC_ISA),$(eval $(call vec_rule,$(isa))))

$(BUILD)/libbaddiff.a: $(LIB_OBJ)
	$(Q)rm -f $@ && ar rcsD $@ $^

$(BUILD)/baddiff: $(CLI_OBJ) $(BUILD)/libbaddiff.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LDLIBS)

$(BUILD)/tests/%.o: private ALL_CFLAGS += -Itests
# Variants of the convolution kernels with registers of 4 and 16 lanes, made of plain C: tests/test_conv.c holds them to
# the bits of the machine's own.
PLAIN_OBJ := $(BUILD)/tests/conv_kernels_plain4.o $(BUILD)/tests/conv_kernels_plain16.o
$(PLAIN_OBJ): $(BUILD)/tests/conv_kernels_plain%.o: src/cpu/conv_kernels.c $(BUILD)/gen/flags.stamp
	@mkdir -p $(@D)
	@echo "  CC    $< (plain$*)"
	$(Q)$(COMPILE) $(if $(VEC_avx2),$(if $(filter avx2,$(VEC_ISA)),-mfma)) -Wno-psabi -DBD_REG_WIDTH=$* -DBD_ISA=plain$* -c -o $@ $<
$(BUILD)/tests/test_conv: $(PLAIN_OBJ)
# Tests of the CUDA backend run on the emulator, whose platform goes before the library's own.
$(filter $(BUILD)/tests/test_cuda_%,$(TEST_PROG)): $(EMU_OBJ)
$(TEST_PROG): $(BUILD)/tests/%: $(BUILD)/tests/%.o $(HELP_OBJ) $(BUILD)/libbaddiff.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter-out %.a,$^) $(filter %.a,$^) -lcmocka $(ALL_LDLIBS)

include tests/fuzz/fuzz.mk
include tests/faults/faults.mk
include tests/gpu/gpu.mk

-include $(ALL_OBJ:.o=.d)
