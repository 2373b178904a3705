"""Writes one table in every form that the AnnData of this interpreter writes, and what that
AnnData then reads: zoo_forms.py NAME FOLDER (see make_zoo.py). NAME begins the files' names;
"edited" writes the forms that h5py makes of AnnData's files, and those that are refused."""
import json
import os
import sys
import warnings

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sparse

warnings.filterwarnings("ignore")
CELLS, GENES, RAW_GENES, WIDTH = 30, 24, 28, 3
VERSION = tuple(int(part) for part in anndata.__version__.split(".")[:2])
if (0, 11) <= VERSION < (0, 13):
    anndata.settings.allow_write_nullable_strings = True
CODES = np.arange(CELLS) * 7 % 5


def write_elem(*arguments, **options):
    module = anndata.io if VERSION >= (0, 11) else anndata.experimental
    module.write_elem(*arguments, **options)


def counts():
    return (np.arange(CELLS * RAW_GENES).reshape(CELLS, RAW_GENES) * 7919 >> 3) % 11 // 4


def embedding():
    return (np.arange(CELLS * WIDTH).reshape(CELLS, WIDTH) * 31 % 64 - 20) / 4.0


def texts(words, missing=()):
    return [None if i in missing else words[code] for i, code in enumerate(CODES)]


def nullable(values, dtype):
    """A nullable column; a category where this AnnData cannot write one."""
    first = {"string": (0, 12)}.get(dtype, (0, 8))
    return pd.array(values, dtype=dtype) if VERSION >= first else pd.Categorical(values)


def obs():
    words = ["d2", "d10", "d1", "d 3", "größer α-Zelle"]
    odd = ['say "T"', "a{b}_c", "`x`$y", "back\\slash", "it's; # <&>"]
    score = np.where(np.arange(CELLS) == 4, np.nan, np.arange(CELLS) * 0.1 - 1)
    score[5:12] = [1e16, 1e15, 1e-5, 0.0001, 5e-324, 123456789.125, -np.inf]
    columns = {
        "donor": pd.Categorical(texts(words), categories=["unused", *sorted(words), "too"]),
        "odd": pd.Categorical(texts(odd)),
        "sex": pd.Categorical(texts(["male", "female"] * 3, missing=(0, 5, 29))),
        "stage": pd.Categorical(texts(["b", "a", "c", "a", "b"]), categories=["c", "b", "a"],
                                ordered=True),
        "nothing": pd.Categorical([None] * CELLS),
        "batch": pd.Categorical(texts([3, -1, 2, 10, 3])),
        "yes": pd.Categorical(texts([True, False, True, True, False], missing=(1,))),
        "dose": pd.Categorical(texts([0.1, 1.0, 2.5, 1e-7, 1e22])),
        "wide": pd.Categorical(texts([f"w{c}" for c in (150, 3, 199, 0, 77)]),
                               categories=[f"w{c}" for c in range(200)]),
        "barcode": [f"AAC{i:03d}-1" for i in range(CELLS)],
        "plain": texts(words),
        "number": np.arange(CELLS) * 10 ** 9 - 5,
        "small": CODES.astype(np.int8) - 2,
        "unsigned": CODES.astype(np.uint64) + np.uint64(2 ** 63),
        "swapped": CODES.astype(">i4"),
        "flag": CODES > 2,
        "score": score,
        "ratio": (CODES * 0.1).astype(np.float32),
        "half": (CODES * 0.1).astype(np.float16),
        "nstring": nullable(texts(words, missing=(2, 3)), "string"),
        "nint": nullable(texts([1, 2, 3, -4, 5], missing=(2, 3)), "Int64"),
        "nsmall": nullable(texts([1, 2, 3, 4, 255], missing=(9,)), "UInt8"),
        "nbool": nullable(texts([True, False, True, True, False], missing=(2, 3)), "boolean"),
        "two/parts": CODES,
    }
    if VERSION >= (0, 11): # which writes no '/' any more
        del columns["two/parts"]
    frame = pd.DataFrame(columns, index=[f"cell-{i}" for i in range(CELLS)])
    frame.index.name = "cell id"
    return frame


def table(matrix, few=False):
    var = pd.DataFrame({"symbol": [f"sym{g}" for g in range(RAW_GENES)],
                        "kind": pd.Categorical(["a", "b"] * (RAW_GENES // 2))},
                       index=[f"ENSG{g:03d}" for g in range(RAW_GENES)])
    rows = obs()[["donor"]] if few else obs()
    data = anndata.AnnData(X=sparse.csr_matrix(counts().astype(np.float32)), obs=rows, var=var)
    if not few:
        data.raw = data
    data = data[:, :GENES].copy()
    data.obs = rows # with the categories that no cell has, which a selection drops
    data.X = matrix
    return data


def frame_of(values, index):
    frame = pd.DataFrame(values, columns=["d10", "d2", "d1"], index=index)
    frame["d2"] = frame["d2"].astype(np.float32)
    frame["flag"] = CODES > 2
    frame["whole"] = CODES
    return frame


def add_embeddings(data):
    values = embedding()
    data.obsm["dense"] = values
    data.obsm["narrow"] = values.astype(np.float32)
    data.obsm["half"] = values.astype(np.float16)
    data.obsm["fortran"] = np.asfortranarray(values)
    data.obsm["swapped"] = values.astype(">f8")
    data.obsm["csr"] = sparse.csr_matrix(values)
    data.obsm["csc"] = sparse.csc_matrix(values)
    data.obsm["frame"] = frame_of(values, data.obs_names)
    if VERSION >= (0, 8):
        holes = pd.array(texts([1, 2, 3, -4, 5], missing=(2, 3)), dtype="Int64")
        data.obsm["holes"] = data.obsm["frame"].assign(holes=holes)


def wide_indices(matrix):
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)
    return matrix


def add_layers(data):
    values = counts()[:, :GENES]
    for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", ">f4", ">f8", ">i2",
                 ">i8"):
        data.layers["dense " + kind.replace("?", "bool").replace(">", "big-endian ")] = values.astype(kind)
    for kind in ("f4", "f8", "i4", "i8", "u2", "?"):
        name = kind.replace("?", "bool")
        data.layers["csr " + name] = sparse.csr_matrix(values.astype(kind))
        data.layers["csc " + name] = sparse.csc_matrix(values.astype(kind))
    data.layers["csr wide"] = wide_indices(sparse.csr_matrix(values.astype(np.float32)))
    data.layers["csc wide"] = wide_indices(sparse.csc_matrix(values.astype(np.float32)))


def write(data, path, **options):
    if VERSION >= (0, 11):
        options["convert_strings_to_categoricals"] = False
    data.write_h5ad(path, **options)


def write_forms(name, folder):
    values = counts()[:, :GENES].astype(np.float32)
    path = lambda form: os.path.join(folder, f"{name} {form}.h5ad")
    data = table(sparse.csr_matrix(values))
    add_embeddings(data)
    write(data, path("csr"))
    write(table(sparse.csc_matrix(values)), path("csc gzip"), compression="gzip")
    write(table(values), path("dense lzf"), compression="lzf")
    data = table(values, few=True)
    add_layers(data)
    write(data, path("layers"))
    bare = anndata.AnnData(obs=pd.DataFrame(index=obs().index),
                           var=pd.DataFrame(index=[f"ENSG{g:03d}" for g in range(GENES)]))
    bare.obsm["dense"] = embedding()
    write(bare, path("without X"))
    if VERSION >= (0, 12):
        data = table(values)
        for frame, keys in (data.obs, ("plain", "barcode")), (data.var, ("symbol",)):
            for key in keys:
                frame[key] = frame[key].astype("string")
        write(data, path("nullable strings"))


def as_texts(column):
    """As pandas prints the values of a column; None where missing."""
    is_float = str(column.dtype).startswith("float") # whose precision single values lose
    values = column.astype(str) if is_float else column
    return [None if gone else str(value) for value, gone in zip(values, column.isna())]


def as_rows(matrix):
    if isinstance(matrix, pd.DataFrame):
        matrix = np.column_stack([pd.to_numeric(matrix[key]).astype("float64") for key in matrix])
    dense = matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)
    return [[None if np.isnan(v) else float(v) for v in row] for row in dense.astype(np.float64)]


def expected(path):
    """All that is read of a file, by this AnnData."""
    data = anndata.read_h5ad(path)
    is_number = lambda column: column.dtype != object and (
        pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype)
    ) and str(column.dtype) != "category"
    numbers = [key for key in data.obs if is_number(data.obs[key])]
    matrices = {f"layer:{key}": data.layers[key] for key in data.layers if key is not None}
    if data.X is not None:
        matrices["X"] = data.X
    if data.raw is not None:
        matrices["raw"] = data.raw.X
    frames = {"var": data.var} if data.raw is None else {"var": data.var, "raw": data.raw.var}
    return {
        "cells": [str(name) for name in data.obs_names],
        "columns": {key: as_texts(data.obs[key]) for key in data.obs},
        "measures": {key: [None if pd.isna(v) else "inf" if v == np.inf else "-inf" if v == -np.inf
                           else float(v) for v in data.obs[key]] for key in numbers},
        "genes": {kind: {"": [str(name) for name in frame.index],
                         **{key: as_texts(frame[key]) for key in frame}}
                  for kind, frame in frames.items()},
        "matrices": {key: as_rows(value) for key, value in matrices.items()},
        "embeddings": {key: as_rows(data.obsm[key]) for key in data.obsm},
    }


def replace(group, name, values, **options):
    """Another dataset in place of one, with its attributes."""
    attributes = dict(group[name].attrs)
    del group[name]
    made = group.create_dataset(name, data=values, **options)
    for key, value in attributes.items():
        made.attrs[key] = value


def write_edited(folder):
    """Forms that other writers leave, made of files of this AnnData."""
    values = counts()[:, :GENES].astype(np.float32)
    data = table(sparse.csr_matrix(values))
    path = lambda form: os.path.join(folder, f"edited {form}.h5ad")
    write(data, path("fixed strings"))
    with h5py.File(path("fixed strings"), "a") as file:
        for place in ("obs/cell id", "obs/plain", "obs/barcode", "obs/donor/categories", "var/_index"):
            group, name = place.split("/", 1)
            words = [text.encode() for text in file[place].asstr()[:]]
            kind = h5py.string_dtype("utf-8", max(len(word) for word in words))
            replace(file[group], name, np.array(words, dtype=kind))
    write(data, path("labels and codes"))
    with h5py.File(path("labels and codes"), "a") as file:
        for place in ("obs/cell id", "var/_index"): # as AnnData 0.8 left some
            file[place].attrs["encoding-type"] = "array"
        replace(file["obs/donor"], "codes", file["obs/donor/codes"][:].astype(np.int32))
        replace(file["obs/sex"], "codes", file["obs/sex/codes"][:].astype(np.int64))
        replace(file["obs/odd"], "codes", file["obs/odd/codes"][:].astype(">i2"))
    write(data, path("null X"))
    with h5py.File(path("null X"), "a") as file:
        del file["X"]
        file["X"] = h5py.Empty("f4")
        file["X"].attrs["encoding-type"], file["X"].attrs["encoding-version"] = "null", "0.1.0"
    write(table(values), path("checked"))
    with h5py.File(path("checked"), "a") as file:
        options = {"compression": "gzip", "shuffle": True, "fletcher32": True, "chunks": True}
        replace(file, "X", values, **options)
        replace(file["obs"], "number", file["obs/number"][:], **options)
        replace(file["obs/donor"], "codes", file["obs/donor/codes"][:], **options)
    with h5py.File(path("of HDF5 1.10"), "w", libver=("v110", "v110")) as file:
        write_elem(file, "/", data)
    with h5py.File(path("userblock"), "w", userblock_size=1024) as file:
        write_elem(file, "/", data)


def encode(object_, kind, version):
    object_.attrs["encoding-type"], object_.attrs["encoding-version"] = kind, version


def write_refused(folder):
    values = counts()[:, :GENES].astype(np.float32)
    data = table(sparse.csr_matrix(values))
    data.obsm["texts"] = pd.DataFrame({"a": CODES, "b": data.obs["donor"]}, index=data.obs_names)
    path = lambda form: os.path.join(folder, f"refused {form}.h5ad")
    write(data, path("columns"))
    with h5py.File(path("columns"), "a") as file:
        order = list(file["obs"].attrs["column-order"])
        file["obs"].create_group("awkward")
        encode(file["obs/awkward"], "awkward-array", "0.1.0")
        file["obs/pair"] = np.zeros(CELLS, dtype=[("a", "i4"), ("b", "f4")])
        file["obs/square"] = np.zeros((CELLS, 2))
        file["obs/short"] = np.zeros(CELLS - 1)
        file["obs/latin"] = np.array([b"gr\xf6sser"] * CELLS)
        file["obs/elsewhere"] = h5py.ExternalLink("refused other.h5ad", "/something")
        file["obs/circle"] = h5py.SoftLink("/obs/circle")
        for name in ("old_codes", "beyond", "newer", "short_mask"):
            file.copy("obs/nint" if name == "short_mask" else "obs/donor", f"obs/{name}")
        file["obs/lost"] = CODES.astype(np.int8)
        file["obs/lost"].attrs["categories"] = h5py.Reference()
        del file["obs/old_codes"]
        file["obs/old_codes"] = CODES.astype(np.int8)
        file["obs/old_codes"].attrs["categories"] = "donor"
        file["obs/beyond/codes"][3] = 100
        file["obs/newer"].attrs["encoding-version"] = "0.9.0"
        replace(file["obs/short_mask"], "mask", np.zeros(CELLS - 1, dtype=bool))
        added = ["awkward", "pair", "square", "short", "latin", "elsewhere", "circle", "old_codes",
                 "beyond", "newer", "short_mask", "lost", "absent"]
        file["obs"].attrs["column-order"] = order + added
        layers = file["layers"]
        layers["one axis"] = np.zeros(CELLS)
        layers["few rows"] = np.zeros((CELLS - 1, GENES))
        layers["texts"] = np.array([[b"a"] * GENES] * CELLS)
        layers["many genes"] = np.zeros((CELLS, GENES + 1))
        source = h5py.VirtualSource("other.h5", "x", shape=(CELLS, GENES))
        virtual = h5py.VirtualLayout((CELLS, GENES), "f4")
        virtual[:] = source
        layers.create_virtual_dataset("virtual", virtual)
        layers.create_dataset("outside", (CELLS, GENES), "f4", external=[("other.raw", 0, 2880)])
        for name in ("coo", "falls", "short indices", "wrong shape", "no shape", "long indptr",
                     "float indices"):
            file.copy("X", f"layers/{name}")
        encode(layers["coo"], "coo_matrix", "0.1.0")
        layers["falls/indptr"][3] = 400
        replace(layers["short indices"], "indices", layers["short indices/indices"][:-1])
        layers["wrong shape"].attrs["shape"] = np.array([GENES, CELLS])
        del layers["no shape"].attrs["shape"]
        replace(layers["long indptr"], "indptr", np.append(layers["long indptr/indptr"][:], 0))
        replace(layers["float indices"], "indices", layers["float indices/indices"][:] * 1.0)
    write(table(values, few=True), path("no index"))
    with h5py.File(path("no index"), "a") as file:
        del file["obs"].attrs["_index"]
    with h5py.File(path("before 0.7"), "w") as file:
        file["X"] = values
        file["obs"] = np.zeros(CELLS, dtype=[("index", "S8"), ("donor", "i4")])
        file["var"] = np.zeros(GENES, dtype=[("index", "S8")])
    with h5py.File(path("MuData"), "w") as file:
        encode(file, "MuData", "0.1.0")
        file.create_group("mod/rna")
    with h5py.File(path("Loom"), "w") as file:
        file["matrix"] = values.T
        file.create_group("row_attrs")
    with h5py.File(path("10x"), "w") as file:
        file.create_group("matrix/features")
    with h5py.File(path("other"), "w") as file:
        file.create_group("something")
    with h5py.File(path("no cells"), "w") as file:
        write_elem(file, "/", data[:0].copy())
    with h5py.File(path("of newest HDF5"), "w", libver="latest") as file:
        write_elem(file, "/", data)


def main():
    name, folder = sys.argv[1:]
    if name == "edited":
        write_edited(folder)
        write_refused(folder)
    else:
        write_forms(name, folder)
    read = {entry: expected(os.path.join(folder, entry)) for entry in sorted(os.listdir(folder))
            if entry.startswith(name + " ")}
    with open(os.path.join(folder, f"{name}.json"), "w", encoding="utf-8") as out:
        json.dump(read, out)
    for entry in read:
        print("wrote", entry)


main()
