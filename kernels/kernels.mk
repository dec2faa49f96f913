# The CUDA kernels, compiled three ways: by nvcc for devices (CUDA=1, or CUDA=auto where nvcc is found), as C++ for the
# emulator of tests/emu, and not at all (CUDA=0: src/cuda/none.c stands in).
CUDA      ?= auto
CUDA_HOME ?= $(firstword $(patsubst %/bin/nvcc,%,$(shell command -v nvcc)) $(wildcard /usr/local/cuda))
NVCC      ?= $(wildcard $(CUDA_HOME)/bin/nvcc)
# Compute capabilities to build for: that of the GPU at hand, else A100 and H100.
CUDA_ARCH ?= $(or $(shell nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | tr -d . | sort -u),80 90)

KERNEL_SRC := $(sort $(filter-out kernels/platform.cu,$(wildcard kernels/*.cu)))
ifneq ($(CUDA),0)
ifneq ($(and $(NVCC)$(filter 1,$(CUDA)),$(wildcard kernels/platform.cu)),)
ifeq ($(SAN),)
KERNEL_OBJ  := $(patsubst %.cu,$(BUILD)/%.o,$(KERNEL_SRC) kernels/platform.cu)
CUDA_LDLIBS := $(firstword $(wildcard $(CUDA_HOME)/lib64/libcudart_static.a $(CUDA_HOME)/lib/libcudart_static.a) -lcudart_static) -lrt -lstdc++
endif
endif
endif
# No contraction of a*b+c: the emulator and the device give the same bits.
NVCC_FLAGS  = -std=c++17 -O3 --fmad=false -Isrc $(foreach a,$(CUDA_ARCH),-gencode arch=compute_$(a),code=sm_$(a)) \
    -Werror all-warnings -Xptxas -v,--warn-on-spills -Xcompiler -fPIE,-Wall,-Wextra,-Wno-unused-function

$(BUILD)/kernels/%.o: kernels/%.cu kernels/kernel.h kernels/kernels.mk $(wildcard kernels/*.cuh) src/cuda/kernels.h src/cuda/kernels.def
	@mkdir -p $(@D)
	@echo "  NVCC  $< ($(CUDA_ARCH))"
	$(Q)$(if $(findstring ccache,$(CC)),ccache) $(NVCC) -ccbin $(CXX_HOST) $(NVCC_FLAGS) -MD -MF $(@:.o=.d) -c -o $@ $< >$@.log 2>&1 || { grep -v '^ptxas info\|bytes stack frame' $@.log; exit 1; }
CXX_HOST   := $(if $(findstring clang,$(CC)),g++,$(or $(filter-out c++,$(CXX)),g++))

# The emulator: kernels as C++ on the CPU, and stand-ins for the device and its libraries.
EMU_CXX    := $(if $(findstring clang,$(CC)),$(subst clang,clang++,$(CC)),$(subst gcc,g++,$(CC)))
EMU_OBJ    := $(KERNEL_SRC:%.cu=$(BUILD)/emu/%.o) $(patsubst tests/emu/%.cpp,$(BUILD)/emu/%.o,$(wildcard tests/emu/*.cpp)) \
    $(patsubst tests/emu/%.c,$(BUILD)/emu/%.o,$(wildcard tests/emu/*.c))
# Without exceptions, run-time types and the C++ library: any program links with it.
EMU_FLAGS   = -std=c++17 -D_GNU_SOURCE -DBD_EMULATOR -Isrc -Ikernels -Itests -Itests/emu $(CFLAGS) -ffp-contract=off \
    -fno-math-errno -fno-strict-aliasing -fPIE -fno-exceptions -fno-rtti -fno-threadsafe-statics -Wall -Wextra -Wno-unused-function \
    -Wno-unknown-pragmas $(SAN_FLAGS) $(if $(SAN),$(if $(findstring clang,$(CC)),-fno-sanitize=function)) \
    $(if $(filter 1,$(WERROR)),-Werror) $(if $(filter x86_64-%,$(shell $(CC) -dumpmachine)),-mavx2 -mfma) -MMD -MP

$(BUILD)/emu/kernels/%.o: kernels/%.cu
	@mkdir -p $(@D)
	@echo "  EMU   $<"
	$(Q)$(EMU_CXX) $(EMU_FLAGS) -x c++ -c -o $@ $<
$(BUILD)/emu/%.o: tests/emu/%.cpp
	@mkdir -p $(@D)
	@echo "  EMU   $<"
	$(Q)$(EMU_CXX) $(EMU_FLAGS) -c -o $@ $<
$(BUILD)/emu/%.o: tests/emu/%.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(COMPILE) -Itests $(addprefix -isystem ,$(wildcard $(CUDA_HOME)/include)) -c -o $@ $<

# The program as it is, on the emulated device: slow, for tests. (Read before the Makefile knows CLI_OBJ and its goals.)
.DEFAULT_GOAL := all
$(BUILD)/baddiff-emulated: $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard src/cli/*.c))) $(EMU_OBJ) $(BUILD)/libbaddiff.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter-out %.a,$^) $(filter %.a,$^) $(ALL_LDLIBS)
