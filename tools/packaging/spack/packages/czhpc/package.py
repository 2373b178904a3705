# Copyright (c) 2026 The czhpc authors. MIT license.
import os

from spack.package import *


class Czhpc(MakefilePackage):
    """Multimodal models of single cells, trained with MPI."""

    maintainers = []
    license("MIT")

    # No release is to be downloaded yet: spack develop --path /path/to/czhpc czhpc@main
    version("main")

    variant("figures", default=True, description="Draw figures by gnuplot")

    depends_on("c", type="build")
    depends_on("gmake", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("mpi")
    depends_on("hdf5+mpi+hl")
    depends_on("libyaml")
    depends_on("jansson")
    depends_on("liblzf")
    depends_on("libdeflate")
    # Serial: czhpc calls it from threads of its own. LAPACKE is in it.
    depends_on("openblas threads=none")
    depends_on("gnuplot+cairo", type="run", when="+figures")

    def pkgconfig_folder(self):
        return join_path(self.stage.source_path, "build", "pkgconfig")

    def setup_build_environment(self, env):
        env.append_path("PKG_CONFIG_PATH", self.pkgconfig_folder())

    # The Makefile asks pkg-config for these two, which Spack's packages do not tell it.
    def edit(self, spec, prefix):
        mkdirp(self.pkgconfig_folder())
        for name, package, library in (("liblzf", "liblzf", "lzf"), ("lapacke", "openblas", "openblas")):
            where = spec[package].prefix
            lines = [
                f"Name: {name}",
                f"Description: {name} of Spack",
                "Version: 0",
                f"Cflags: -I{where.include}",
                f"Libs: -L{spec[package].libs.directories[0]} -l{library}",
            ]
            with open(os.path.join(self.pkgconfig_folder(), f"{name}.pc"), "w") as out:
                out.write("\n".join(lines) + "\n")

    def make_options(self):
        return [f"MPICC={self.spec['mpi'].mpicc}", f"PREFIX={self.prefix}"]

    def build(self, spec, prefix):
        make(*self.make_options())

    def install(self, spec, prefix):
        make("install", *self.make_options())
