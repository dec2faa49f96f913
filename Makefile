# baddiff: one non-recursive Makefile. `make help` lists the verbs.
BUILD   ?= build/release
THREADS ?= $(shell nproc 2>/dev/null || echo 1)
PROFILE ?= mini
CC      ?= cc
PKGS    := dnnl libpng libjpeg zlib libzip jansson inih libcrypto openblas
CFLAGS  ?= -O2 -g
WERROR  ?= 0
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)

SAN_FLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -Isrc -I$(BUILD)/gen $(CFLAGS) -ffp-contract=off -fno-math-errno -fPIE \
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wpointer-arith \
    $(if $(filter 1,$(WERROR)),-Werror) -fstack-protector-strong -MMD -MP $(SAN_FLAGS)
ALL_LDLIBS = $(LDLIBS) -ldnnl -lcsv -lpng -ljpeg -lz -lzip -ljansson -linih -lcrypto -lopenblas -lgomp -lm -lpthread
ALL_LDFLAGS = $(LDFLAGS) -pie -Wl,-z,relro,-z,now $(SAN_FLAGS)

LIB_SRC  := $(filter-out src/cli/% src/cpu/vec_kernels.c,$(wildcard src/*/*.c))
CLI_SRC  := $(wildcard src/cli/*.c)
TEST_SRC := $(wildcard tests/test_*.c)
REF_SRC  := $(wildcard tests/ref/*.c)
LIB_OBJ  := $(LIB_SRC:%.c=$(BUILD)/%.o)
CLI_OBJ  := $(CLI_SRC:%.c=$(BUILD)/%.o)
REF_OBJ  := $(REF_SRC:%.c=$(BUILD)/%.o)
TESTS    := $(TEST_SRC:tests/%.c=$(BUILD)/tests/%)

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all test help clean

all: $(BUILD)/baddiff ## build the program

$(BUILD)/baddiff: $(CLI_OBJ) $(BUILD)/libbaddiff.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LDLIBS)

$(BUILD)/libbaddiff.a: $(LIB_OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(REF_OBJ) $(BUILD)/libbaddiff.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka $(ALL_LDLIBS)

$(BUILD)/tests/%.o: ALL_CFLAGS += -Itests

test: $(BUILD)/baddiff $(TESTS) ## build and run the whole test suite
	@scripts/run-tests $(BUILD) $(TESTS)

clean: ## remove this configuration's build folder
	rm -rf $(BUILD)

help: ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(TESTS:=.d) $(REF_OBJ:.o=.d)
