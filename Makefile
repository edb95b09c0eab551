# The commands that people type. Everything else is CMake; see CMakePresets.json for the other builds.
SHELL := /bin/bash

.PHONY: all deps deps-dev configure build demo train-demo check check-long check-core check-python check-wheel wheel check-serve check-slurm demo-serve check-e2e check-simt check-kernels check-full check-cuda check-gpu lint abi bench install uninstall clean format wrap deb coverage dev asan tsan clang fuzz

all: build

# Installs the packages that are missing; does nothing, and needs no rights, when all are there.
deps:
	@tools/deps

# What only developers need: clang with its tools and runtimes, cppcheck.
deps-dev:
	@tools/deps --dev

configure: deps
	@[ -e build/build.ninja ] || $(quietly) cmake --preset release

build: configure
	cmake --build build

at_once = $$(nproc | awk '{ print $$1 < 4 ? $$1 : 4 }')

check: build
	ctest --test-dir build --output-on-failure -j "$(at_once)" -LE '^long$$'
	@tests/left_out build
	$(MAKE) check-core
	$(MAKE) check-python

# The tests that `make check` leaves out: whole runs on the emulated card and on a device apart, allocations of a run failed. Five
# minutes; continuous integration runs both.
check-long: build
	ctest --test-dir build --output-on-failure -j "$(at_once)" -L '^long$$'

# The Python package: installed into a virtual environment, and its tests beside what `make build` built.
check-python: build
	@tools/check_python build

# dist/memsafe-VERSION-py3-none-manylinux_*.whl and the source distribution; and that the wheel does what it should in a fresh environment.
wheel: deps
	@tools/wheel

check-wheel: build wheel
	@tools/check_wheel build

# The core alone: a C compiler and nothing else.
check-core: deps
	cmake --preset core
	cmake --build build-core --target memsafe_installed
	build-core/memsafe doctor
	tests/examples/core build build-core

# The server: 50 kills, 200 clients, and whether it does what its description says.
check-serve: build
	tests/serve/check_serve build

# `memsafe submit slurm` on a Slurm of three nodes on this machine, as root, with the packages slurm-wlm and munge: three minutes.
check-slurm: build
	@tests/slurm/check_slurm build

# Hours: kills at random moments, file systems that fill up, peaks of long runs, every allocation of a run failed.
check-e2e: build
	tests/e2e/kill_resume build 200
	tests/e2e/kill_workers build 50
	tests/e2e/disk_full build
	tests/e2e/flatness build
	MEMSAFE_LONG=1 ctest --test-dir build --output-on-failure --timeout 20000 -R '^(identity|remote_run|media_memory|recovery)$$'
	tools/check_python build -m slow
	MEMSAFE_HISTORY=off MEMSAFE_EVERY_ALLOCATION=1 build/tests/test_recovery

# On a machine with a card (CONTRIBUTING.md, "A card"): nvcc and a C compiler are enough.
check-gpu:
	@tools/check_gpu

# The plug-in for cards, for all architectures; what ptxas says of each kernel.
check-cuda: deps
	cmake --preset release -B build-cuda -DMEMSAFE_CUDA=on
	cmake --build build-cuda --target memsafe_cuda
	cmake --build build-cuda --target list_kernels
	tools/kernel_table -l build-cuda/tests/list_kernels -o docs/cuda_kernels.md

# An hour or two: the emulated card on every rung, with eight schedules, of all architectures; a run in which every allocation and every
# launch fails in turn, and the card is lost after every command.
check-simt: build
	MEMSAFE_SIMT_LONG=1 ctest --test-dir build --output-on-failure --timeout 20000 -R '^(card_|cuda_|simt|emulator|planted|tensor_core)'

# Every kernel of the CUDA back end on the emulator, at small shapes, under the sanitizers of addresses and of races: a quarter of an hour.
check-kernels: deps-dev
	cmake --preset asan
	cmake --build build-asan --target kernel_tests
	ctest --test-dir build-asan --output-on-failure -L kernels
	cmake --preset tsan
	cmake --build build-tsan --target kernel_tests
	setarch -R ctest --test-dir build-tsan --output-on-failure -L kernels

# Full-size models with random weights: two hours on two cores, 6 GB of disk.
check-full: build
	tools/check_full build

lint: deps-dev
	tools/lint

# Writes tools/abi.xml anew, which tools/lint holds the public headers against.
abi: deps-dev
	tools/abi write

bench: build
	build/memsafe-bench peak
	build/memsafe-bench ops
	build/memsafe-bench unet
	build/memsafe-bench vae
	build/memsafe-bench whisper

demo: quietly = V='$(V)' tools/quietly
demo: configure
	@echo "0. Building ..."
	@$(quietly) cmake --build build --target memsafe draw_clip contact_sheet
	@tools/demo

# The page, at which the demo's clip can be run.
demo-serve: quietly = V='$(V)' tools/quietly
demo-serve: configure
	@echo "Building ..."
	@$(quietly) cmake --build build --target memsafe draw_clip
	@tools/demo_serve

# Trains the demo model anew: a quarter of an hour on a GPU, two hours on two cores. Needs Python with tools/train_demo/requirements.txt.
train-demo: build
	tools/train_demo/train

format: deps-dev
	git ls-files '*.c' '*.h' | xargs clang-format -i

# Paragraphs of the documents to 100 columns.
wrap:
	@for f in $$(git ls-files '*.md'); do tools/wrap_docs "$$f" >"$$f.wrapped" && { cmp -s "$$f" "$$f.wrapped" || cat "$$f.wrapped" >"$$f"; } && rm "$$f.wrapped" || exit 1; done

dev asan tsan clang: deps-dev
	cmake --preset $@
	cmake --build build-$@
	ctest --test-dir build-$@ --output-on-failure

fuzz: deps-dev
	cmake --preset fuzz
	cmake --build build-fuzz
	ctest --test-dir build-fuzz -L fuzz --output-on-failure

# Builds what it installs and no tests.
install: configure
	cmake --build build --target memsafe_installed
	cmake --install build

# What `make install` put in place, by build/install_manifest.txt.
uninstall:
	cmake --build build --target uninstall

# A Debian package for the system that it is made on: build-deb/package/memsafe_VERSION_ARCHITECTURE.deb
deb:
	@tools/deps --deb
	cmake --preset deb
	cmake --build build-deb
	cd build-deb && cpack -G DEB

# Which lines the unit tests run; COVERAGE names other labels, as in COVERAGE='unit|stage'.
COVERAGE ?= unit
coverage: deps-dev
	cmake --preset coverage
	cmake --build build-coverage
	tools/coverage build-coverage '$(COVERAGE)'

clean:
	rm -rf build build-*
