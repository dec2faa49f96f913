# Faults put into runs of the program: tests/faults/faults.sh says what and what is checked. STRIDE=N: every N-th place.
.PHONY: test-faults
test-faults: $(PROGRAM) $(BUILD)/tests/fault_alloc.so ## kill a run at every system call that writes, fail each one, fill the disk, fail allocations (STRIDE=N: every N-th)
	@BADDIFF=$(BUILD)/baddiff FAULT_ALLOC=$(BUILD)/tests/fault_alloc.so tests/faults/faults.sh $(FAULTS)

$(BUILD)/tests/fault_alloc.so: tests/faults/fault_alloc.c
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -shared -fPIC -o $@ $<
