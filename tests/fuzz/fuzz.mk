# Fuzzing of readers: a target is a file tests/fuzz/fuzz_<reader>.c and a folder tests/fuzz/corpus/<reader>/.
FUZZ_S       ?= 60
FUZZ_READERS := $(sort $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c)))
# Only the layers of the readers are built with sanitizers; add a file here when a reader needs one.
FUZZ_SRC     := $(sort $(wildcard src/base/*.c src/io/*.c) $(wildcard src/nn/*config.c))
FUZZ_OBJ     := $(FUZZ_SRC:%.c=$(BUILD)/%.o)
FUZZ_LDLIBS   = $(LDLIBS) $(filter-out -lopenblas -lgomp,$(filter -l%,$(ALL_LDLIBS)))
FUZZ_PROG    := $(FUZZ_READERS:%=$(BUILD)/tests/fuzz/%)

.PHONY: fuzz fuzz-replay fuzz-programs
fuzz: ## fuzz every reader for FUZZ_S=60 seconds with libFuzzer (clang and libclang-rt-dev); prints the inputs tried
	@$(MAKE) --no-print-directory CC=clang SAN=fuzzer-no-link,address,undefined BUILD=build/fuzzer fuzz-programs
	@tests/fuzz/run.sh build/fuzzer/tests/fuzz $(FUZZ_S) $(FUZZ_READERS)

fuzz-replay: ## load the fuzzing corpus with the readers under ASan and UBSan
	@$(MAKE) --no-print-directory SAN=address,undefined BUILD=build/fuzz-replay fuzz-programs
	@tests/fuzz/run.sh build/fuzz-replay/tests/fuzz 0 $(FUZZ_READERS)

fuzz-programs: $(FUZZ_PROG)

FUZZ_FLAGS := $(if $(findstring fuzzer,$(SAN)),-fsanitize=fuzzer,-DFUZZ_REPLAY)
$(FUZZ_OBJ): $(BUILD)/gen/flags.stamp | deps-first $(BUILD)/gen/bd_version.h
$(FUZZ_PROG): $(BUILD)/tests/fuzz/%: tests/fuzz/fuzz_%.c tests/fuzz/fuzz.c tests/fuzz/fuzz.h tests/fuzz/tensors_target.h $(FUZZ_OBJ)
	@mkdir -p $(@D)
	@echo "  FUZZ  $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(FUZZ_FLAGS) $(ALL_LDFLAGS) -o $@ $< tests/fuzz/fuzz.c $(FUZZ_OBJ) $(FUZZ_LDLIBS)
