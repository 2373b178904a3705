# GPUs: the plug-in libczhpc_cuda.so (make CUDA=1, with NVIDIA's toolkit), and its emulation on a CPU
# from the same sources, for the tests.
CUDA_SOURCES := $(wildcard cuda/*.cu)
EMULATED     := $(BUILD)/libczhpc_emulated.so

# The emulated plug-in: an ordinary compiler, headers of cuda/emulated/ in the place of CUDA's.
EMULATED_OBJECTS := $(CUDA_SOURCES:%.cu=$(BUILD)/emulated/%.o) \
	$(patsubst %.cpp,$(BUILD)/emulated/%.o,$(wildcard cuda/emulated/*.cpp))
EMULATED_FLAGS := -std=c++20 -O2 -g1 -fPIC -fvisibility=hidden -Wall -Wextra -Wshadow -Werror -Iinclude \
	-Icuda/emulated -MMD -MP

$(BUILD)/emulated/%.o: %.cu cuda/build.mk
	@mkdir -p $(@D)
	@echo "c++ $< (emulated)"
	@$(CXX) $(EMULATED_FLAGS) -x c++ -c -o $@ $<

$(BUILD)/emulated/%.o: %.cpp cuda/build.mk
	@mkdir -p $(@D)
	@echo "c++ $<"
	@$(CXX) $(EMULATED_FLAGS) -c -o $@ $<

$(EMULATED): $(EMULATED_OBJECTS)
	@echo "ld  $@"
	@$(CXX) -shared -o $@ $^ -lpthread -lrt

$(BUILD)/validation/test_fibers: validation/test_fibers.cpp $(BUILD)/emulated/cuda/emulated/fibers.o
	@mkdir -p $(@D)
	@echo "c++ $<"
	@$(CXX) $(EMULATED_FLAGS) -Ivalidation -o $@ $^

-include $(EMULATED_OBJECTS:.o=.d)

# The same for ThreadSanitizer to look for races of a kernel's threads (validation/gpu/races.sh).
RACES         := $(BUILD)/libczhpc_races.so
RACES_OBJECTS := $(EMULATED_OBJECTS:$(BUILD)/emulated/%=$(BUILD)/races/%)
$(BUILD)/races/%.o: %.cu cuda/build.mk
	@mkdir -p $(@D)
	@$(CXX) $(EMULATED_FLAGS) -DCZ_RACES -fsanitize=thread -x c++ -c -o $@ $<

$(BUILD)/races/%.o: %.cpp cuda/build.mk
	@mkdir -p $(@D)
	@$(CXX) $(EMULATED_FLAGS) -DCZ_RACES -c -o $@ $<

$(RACES): $(RACES_OBJECTS)
	@$(CXX) -shared -fsanitize=thread -o $@ $^ -lpthread -lrt

-include $(RACES_OBJECTS:.o=.d)

# The real one. gcc fears for a member of what nvcc hands it by value.
NVCC       ?= nvcc
CUDA_LIBRARIES = $(realpath $(dir $(realpath $(shell command -v $(NVCC))))/../lib64)
PLUGIN     := $(BUILD)/libczhpc_cuda.so
PLUGIN_OBJECTS := $(CUDA_SOURCES:%.cu=$(BUILD)/%.cu.o)
NVCC_FLAGS := -std=c++20 -O3 -lineinfo -gencode arch=compute_80,code=sm_80 \
	-gencode arch=compute_90,code=[sm_90,compute_90] -Iinclude -Werror all-warnings \
	-Xcompiler -fPIC,-fvisibility=hidden,-Wall,-Wextra,-Wno-maybe-uninitialized

$(BUILD)/%.cu.o: %.cu cuda/build.mk
	@mkdir -p $(@D)
	@echo "nvcc $<"
	@$(NVCC) $(NVCC_FLAGS) -MMD -MP -c -o $@ $<

$(PLUGIN): $(PLUGIN_OBJECTS)
	@echo "ld  $@"
	@$(NVCC) -shared -o $@ $^ -lcublasLt -lnccl $(addprefix -Xlinker -rpath -Xlinker ,$(CUDA_LIBRARIES))

ifeq ($(CUDA),1)
all: libczhpc_cuda.so
libczhpc_cuda.so: $(PLUGIN)
	@cp -f $< $@
endif

-include $(PLUGIN_OBJECTS:.o=.d)
