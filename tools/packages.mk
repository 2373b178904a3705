# Turns PACKAGES (pkg-config names; a|b = the first that is there) into PKG_CFLAGS and
# PKG_LIBS, and names all that are missing at once. Where pkg-config does not know HDF5, h5pcc
# is asked.
package = $(firstword $(foreach p,$(subst |, ,$(1)),$(shell pkg-config --exists $(p) 2>/dev/null && echo $(p))))
FOUND   := $(foreach p,$(PACKAGES),$(call package,$(p)))
MISSING := $(foreach p,$(PACKAGES),$(if $(call package,$(p)),,$(p)))

ifneq ($(filter hdf5%,$(MISSING)),)
ifneq ($(shell command -v h5pcc 2>/dev/null),)
H5_FLAGS   := $(filter -I% -L% -l%,$(shell h5pcc -show 2>/dev/null)) -lhdf5
MISSING    := $(filter-out hdf5%,$(MISSING))
endif
endif
ifeq ($(shell command -v $(CC) 2>/dev/null),)
MISSING += mpicc
endif

ifneq ($(filter-out help clean figures,$(or $(MAKECMDGOALS),all)),)
ifneq ($(strip $(MISSING)),)
$(error czhpc needs, and pkg-config or PATH does not have: $(MISSING). On Debian: tools/setup.sh. \
Elsewhere install MPI, parallel HDF5, libyaml, jansson, liblzf, libdeflate or zlib, OpenBLAS and LAPACKE, and name their \
folders in PKG_CONFIG_PATH)
endif
endif

# System headers: -isystem keeps their warnings out of ours.
PKG_CFLAGS := $(patsubst -I%,-isystem %,$(filter -I%,$(if $(FOUND),$(shell pkg-config --cflags $(FOUND))) $(H5_FLAGS)))
PKG_LIBS   := $(if $(FOUND),$(shell pkg-config --libs $(FOUND))) $(filter -L% -l%,$(H5_FLAGS))
