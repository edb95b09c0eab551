# The commands that people type. Everything else is CMake; see CMakePresets.json for the other builds.
SHELL := /bin/bash
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

PACKAGES := build-essential clang cmake ninja-build pkg-config git \
	libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libswresample-dev libavfilter-dev \
	libyaml-dev libprotobuf-c-dev protobuf-c-compiler libsqlite3-dev libzstd-dev libcmocka-dev libespeak-ng-dev espeak-ng-data \
	clang-format clang-tidy cppcheck libclang-rt-14-dev ffmpeg curl unzip

.PHONY: all deps build demo train-demo check check-core check-e2e check-full lint bench install clean format asan tsan fuzz

all: build

# Installs the Debian packages that are missing; does nothing, and needs no rights, when all are there.
deps:
	@missing=$$(dpkg-query -W -f='$${db:Status-Abbrev} $${Package}\n' $(PACKAGES) 2>/dev/null | awk '$$1=="ii"{print $$2}' | \
	  sort > /tmp/memsafe-have.$$$$; printf '%s\n' $(PACKAGES) | sort | comm -23 - /tmp/memsafe-have.$$$$; rm -f /tmp/memsafe-have.$$$$); \
	if [ -n "$$missing" ]; then echo "installing: $$missing"; \
	  $(SUDO) apt-get update -q && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; fi

build/build.ninja:
	cmake --preset release

build: build/build.ninja
	cmake --build build

check: build
	ctest --test-dir build --output-on-failure
	$(MAKE) check-core

# The core alone: a C compiler and nothing else.
check-core:
	cmake --preset core
	cmake --build build-core --target memsafe
	build-core/memsafe doctor

# Hours: kills at random moments, file systems that fill up, peaks of long runs, every allocation of a run failed.
check-e2e: build
	tests/e2e/kill_resume build 200
	tests/e2e/disk_full build
	tests/e2e/flatness build
	MEMSAFE_HISTORY=off MEMSAFE_EVERY_ALLOCATION=1 build/tests/test_recovery

# Full-size models with random weights: half an hour, 6 GB of disk.
check-full: build
	tools/check_full build

lint:
	tools/lint

bench: build
	build/memsafe bench peak
	build/memsafe bench ops
	build/memsafe bench unet
	build/memsafe bench vae
	build/memsafe bench whisper

demo: build/build.ninja
	cmake --build build --target memsafe draw_clip contact_sheet
	tools/demo

# Trains the demo model anew: a quarter of an hour on a GPU, two hours on two cores. Needs Python with tools/train_demo/requirements.txt.
train-demo: build
	tools/train_demo/train

format:
	git ls-files '*.c' '*.h' | xargs clang-format -i

asan tsan clang:
	cmake --preset $@
	cmake --build build-$@
	ctest --test-dir build-$@ --output-on-failure

fuzz:
	cmake --preset fuzz
	cmake --build build-fuzz
	ctest --test-dir build-fuzz -L fuzz --output-on-failure

install: build
	cmake --install build

clean:
	rm -rf build build-*
