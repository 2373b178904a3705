# Every src/ops/kernel_*.c is compiled once for each variant: an instruction level and a type.
# kernel.h says what the macros mean. The level is chosen at run time, so no other file may be
# compiled with these flags.
KERNELS  := $(wildcard src/ops/kernel_*.c)
VARIANTS := portable_f32 portable_f64 portable_bf16
ifneq ($(findstring x86_64,$(shell $(CC) -dumpmachine)),)
VARIANTS += avx2_f32 avx512_f32 avx512_bf16 amx_bf16
LEVELS_FLAGS := -DCZ_X86_LEVELS
endif

PORTABLE := -DCZ_VECTOR_BYTES=16 -DCZ_LEVEL=CZ_LEVEL_PORTABLE -ffp-contract=off
AVX512 := -DCZ_VECTOR_BYTES=64 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma \
	-ffp-contract=fast -mprefer-vector-width=512

VARIANT_portable_f32  := $(PORTABLE) -DCZ_STORED_BITS=32
VARIANT_portable_f64  := $(PORTABLE) -DCZ_STORED_BITS=64
VARIANT_portable_bf16 := $(PORTABLE) -DCZ_STORED_BITS=16
VARIANT_avx2_f32   := -DCZ_STORED_BITS=32 -DCZ_VECTOR_BYTES=32 -DCZ_LEVEL=CZ_LEVEL_AVX2 \
	-mavx2 -mfma -ffp-contract=fast
VARIANT_avx512_f32 := $(AVX512) -DCZ_STORED_BITS=32 -DCZ_LEVEL=CZ_LEVEL_AVX512
VARIANT_avx512_bf16 := $(AVX512) -DCZ_STORED_BITS=16 -DCZ_LEVEL=CZ_LEVEL_AVX512 -mavx512bf16
VARIANT_amx_bf16   := $(AVX512) -DCZ_STORED_BITS=16 -DCZ_LEVEL=CZ_LEVEL_AMX -DCZ_AMX=1 \
	-mavx512bf16 -mamx-tile -mamx-bf16

# make emulate: AMX's tiles made of other instructions
ifeq ($(CONFIG),emulated)
VARIANT_amx_bf16 += -include validation/emulated_tiles.h
LEVELS_FLAGS += -DCZ_EMULATED_TILES
endif

OBJECTS := $(filter-out $(KERNELS:%.c=$(BUILD)/%.o),$(OBJECTS)) \
	$(foreach v,$(VARIANTS),$(KERNELS:%.c=$(BUILD)/%.$(v).o))

comma := ,
variant_flags = -DCZ_VARIANT=$(1) $(VARIANT_$(1)) \
	-DCZ_NAME='"cpu, $(subst _b,$(comma) b,$(subst _f,$(comma) fp,$(1)))"'

define variant_rule
$$(BUILD)/src/ops/%.$(1).o: src/ops/%.c src/ops/levels.mk $$(BUILD)/flags
	@mkdir -p $$(@D)
	@echo "cc  $$< ($(1))"
	@$$(CC) $$(CPPFLAGS) $$(CFLAGS) $$(call variant_flags,$(1)) -c -o $$@ $$<
endef
$(foreach v,$(VARIANTS),$(eval $(call variant_rule,$(v))))

$(BUILD)/src/ops/levels.o: CPPFLAGS += $(LEVELS_FLAGS)

# make bench_gemm: builds and runs validation/bench_gemm.c.
bench_%: $(BUILD)/validation/bench_%
	@$<
