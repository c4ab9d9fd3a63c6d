"""What conda's package names stand for on the Python package index.

Only names that differ are listed: by far most packages are called the same on both.
"""

OTHER_NAMES = {
    "dask-core": "dask",
    "faiss": "faiss-cpu",
    "libxgboost": "xgboost",
    "lightgbm-cpu": "lightgbm",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "onnxruntime-cpu": "onnxruntime",
    "opencv": "opencv-python-headless",
    "pandas-base": "pandas",
    "py-lief": "lief",
    "py-opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "pyarrow-core": "pyarrow",
    "pytables": "tables",
    "python-flatbuffers": "flatbuffers",
    "python-graphviz": "graphviz",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "ruamel_yaml": "ruamel.yaml",
    "sentencepiece-python": "sentencepiece",
    "tensorflow-base": "tensorflow",
    "tensorflow-eigen": "tensorflow",
    "tensorflow-mkl": "tensorflow",
    "xgboost-cpu": "xgboost",
}
"""The same software under another name."""

_PART = "its wheels bring what they need of it"
LEFT_OUT = {
    "pip": "",
    "wheel": "",
    "setuptools": "",
    "conda": "",
    "blas": f"NumPy takes its place, {_PART}",
    "libblas": f"NumPy takes its place, {_PART}",
    "libgcc": f"what needs it is a wheel, and {_PART}",
    "libgcc-ng": f"what needs it is a wheel, and {_PART}",
    "libstdcxx-ng": f"what needs it is a wheel, and {_PART}",
    "libgfortran-ng": f"what needs it is a wheel, and {_PART}",
    "libgomp": f"what needs it is a wheel, and {_PART}",
    "mkl": f"NumPy computes with another library, and {_PART}",
    "mkl-service": "NumPy computes with another library",
    "nomkl": "it only chooses between conda's packages",
    "intel-openmp": f"what needs it is a wheel, and {_PART}",
    "llvm-openmp": f"what needs it is a wheel, and {_PART}",
    "openblas": f"NumPy takes its place, {_PART}",
    "cpuonly": "it only chooses between conda's packages",
    "python_abi": "it only chooses between conda's packages",
    "vs2015_runtime": "it is for another operating system",
    "ca-certificates": "the base has its own",
    "openssl": "the base has its own",
    "sqlite": "the base has its own",
    "zlib": "the base has its own",
    "xz": "the base has its own",
    "readline": "the base has its own",
    "tk": "the base has none, and a module has no screen",
}
"""What may be left out without harm, and why; an empty reason is not worth a word."""

_LIBRARIES = (
    "_libgcc_mutex _openmp_mutex _tflow_select abseil-cpp aom binutils_impl_linux-64 brotli-bin "
    "bzip2 c-ares cairo dav1d dbus expat fontconfig freetype fribidi gettext giflib glib gmp "
    "graphite2 grpc-cpp gst-plugins-base gstreamer harfbuzz hdf5 icu jpeg keyutils krb5 lame "
    "lcms2 ld_impl_linux-64 ld_impl_linux-aarch64 lerc libabseil libaec libbrotlicommon "
    "libbrotlidec libbrotlienc libcblas libcurl libdeflate libedit libev libevent libexpat "
    "libffi libgfortran libgfortran4 libgfortran5 libglib libgrpc libhdf5 libiconv libjpeg- "
    "turbo liblapack liblzma liblzma-devel libnghttp2 libnsl libopenblas libpng libprotobuf "
    "libre2-11 libsodium libsqlite libssh2 libtiff libunistring libuuid libuv libvpx libwebp "
    "libwebp-base libxcb libxcrypt libxml2 libxslt libzlib lz4-c mpc mpfr ncurses nettle nspr "
    "nss openh264 openjpeg pcre pcre2 pixman pthread-stubs qt qt-main re2 sleef snappy svt-av1 "
    "tensorboard-data-server tzcode unixodbc x264 xorg-libxau xorg-libxdmcp yaml zeromq zstd"
)
LIBRARIES = frozenset(_LIBRARIES.split())
"""Libraries that ``conda env export`` lists: wheels bring what they need of them."""

_SYSTEM = "It is a program or library of the operating system: take a base image that holds it."
OF_THE_SYSTEM = {
    "cudatoolkit": f"{_SYSTEM} Modules on Skerry's own base compute on the processor.",
    "pytorch-cuda": f"{_SYSTEM} Modules on Skerry's own base compute on the processor.",
    "cuda": f"{_SYSTEM} Modules on Skerry's own base compute on the processor.",
    "cuda-toolkit": f"{_SYSTEM} Modules on Skerry's own base compute on the processor.",
    "cudnn": f"{_SYSTEM} Modules on Skerry's own base compute on the processor.",
    "ffmpeg": f"{_SYSTEM} Or use the package 'imageio-ffmpeg' under 'pip:', which brings it.",
    "gcc": _SYSTEM,
    "gxx": _SYSTEM,
    "git": _SYSTEM,
    "libopencv": "Name 'opencv-python-headless' under 'pip:', which brings it.",
    "nodejs": _SYSTEM,
    "openjdk": _SYSTEM,
    "openmpi": f"{_SYSTEM} Scoring one input at a time needs no MPI.",
    "r-base": "Entry scripts are Python; another language runs in an image of its own.",
}
"""What cannot be taken from the Python package index, and what to do about it."""

MISNAMED = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "pil": "pillow",
    "pytorch": "torch",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "tflite": "tflite-runtime",
    "yaml": "pyyaml",
}
"""What people write for a package because its import is called so, and what it is called."""

_HOST = "the scorer host takes its place"
REPLACED = {
    "azureml-defaults": _HOST,
    "azureml-core": _HOST,
    "azureml-contrib-services": _HOST,
    "azureml-inference-server-http": _HOST,
    "azureml-model-management-sdk": _HOST,
    "azureml-monitoring": _HOST,
    "azureml-ai-monitoring": _HOST,
    "azureml-sdk": _HOST,
}
"""Packages whose place the scorer host takes in a module."""
