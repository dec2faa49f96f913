# Checks on a CUDA device: the test programs of the CUDA backend once more, linked with the real platform in place of
# the emulator. Those that test the emulator and the simulated cuDNN themselves have nothing to do there.
GPU_TESTS := $(patsubst tests/%.c,$(BUILD)/gpu/%,$(filter-out tests/test_cuda_emulator.c tests/test_cuda_dnn.c, \
    $(sort $(wildcard tests/test_cuda_*.c))))

.PHONY: check-gpu gpu-programs
check-gpu: ## for a machine with an NVIDIA GPU: tests, parity, determinism, speed; results/bench/gpu-NAME.csv
	@scripts/check-gpu --look
	@[ -n "$(NVCC)" ] || { echo "check-gpu: there is no nvcc: install NVIDIA's CUDA toolkit, or say where it is (CUDA_HOME=...)" >&2; exit 1; }
	+@$(MAKE) --no-print-directory CUDA=1 gpu-programs
	@scripts/check-gpu $(CHECK_ARGS) $(BUILD)

gpu-programs: $(PROGRAM) $(GPU_TESTS)

$(BUILD)/tests/gpu/emu_absent.o: $(BUILD)/gen/flags.stamp
$(GPU_TESTS): $(BUILD)/gpu/%: $(BUILD)/tests/%.o $(BUILD)/tests/gpu/emu_absent.o $(HELP_OBJ) $(BUILD)/libbaddiff.a
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter-out %.a,$^) $(filter %.a,$^) -lcmocka $(ALL_LDLIBS)

# That they link is checked wherever the tests are built and nvcc is found.
tests: $(if $(KERNEL_OBJ),$(GPU_TESTS))
-include $(BUILD)/tests/gpu/emu_absent.d
