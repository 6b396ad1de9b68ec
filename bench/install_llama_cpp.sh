#!/usr/bin/env bash
# The peer of the completion benchmark: llama.cpp, built for this machine into .cache/llama-cpp, once, about 10 minutes.
# A dependency of the benchmark alone. Where it cannot be built, that is said, and the rows name another peer.
#
# The processor's instructions are named one by one rather than by "native": that would bring in AMX, with which version
# 0.3.36 ends in a segmentation fault at the first token of a quantized model.
set -uo pipefail
cd "$(dirname "$0")/.."
place=.cache/llama-cpp
version=0.3.36
gguf=0.19.0
log=$PWD/.cache/llama-cpp.log
python=${PYTHON:-.venv/bin/python}

say() { echo "llama.cpp: $*"; }

ready() {
  PYTHONPATH=$place "$python" -c "import gguf, llama_cpp, sys; sys.exit(llama_cpp.__version__ != '$version')" >/dev/null 2>&1
}

features() {
  [ -r /proc/cpuinfo ] && [ "$(uname -m)" = x86_64 ] || return
  echo -n "-DGGML_NATIVE=OFF"
  local pair
  for pair in sse4_2:SSE42 avx:AVX avx2:AVX2 fma:FMA f16c:F16C bmi2:BMI2 avx_vnni:AVX_VNNI avx512f:AVX512 \
    avx512vbmi:AVX512_VBMI avx512_vnni:AVX512_VNNI avx512_bf16:AVX512_BF16; do
    if grep -qw "${pair%:*}" /proc/cpuinfo; then echo -n " -DGGML_${pair#*:}=ON"; else echo -n " -DGGML_${pair#*:}=OFF"; fi
  done
}

ready && exit 0
for needed in c++ cc; do
  if ! command -v "$needed" >/dev/null; then
    say "not built (no $needed on PATH); the completion rows name transformers' generate() as their peer"
    exit 0
  fi
done
mkdir -p "$place"
say "building $version for this machine, once; about 10 minutes …"
packages=("llama-cpp-python==$version" "gguf==$gguf" diskcache==5.6.3)  # all else that they import is here already
if CMAKE_ARGS="$(features) ${CMAKE_ARGS:-}" "$python" -m pip install --disable-pip-version-check --no-cache-dir --no-deps \
  --upgrade --target "$place" "${packages[@]}" >"$log" 2>&1 </dev/null && ready; then
  say "built"
else
  say "could not be built, see $log"
fi
exit 0
