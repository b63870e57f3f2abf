# `make demo` runs the example, `make test` is what has to pass. CONTRIBUTING.md says more.

GO       ?= go
FUZZTIME ?= 10s
GROUPS   ?= spawn dispatch zygote thread callback timer events connections datagrams sockstate priority order boost control copy files policy limits peers
PEERS    ?= ucspi-tcp openbsd-inetd nginx-light fcgiwrap inotify-tools socat systemd libuv1-dev libevent-dev

# Root has everything that the tests ask of a host, so that it may skip none.
AEM_TEST_NOSKIP ?= $(if $(filter 0,$(shell id -u)),1)
export AEM_TEST_NOSKIP

.PHONY: build demo check test test-installed test-vm test-root lint fuzz bench generate

build:
	CGO_ENABLED=0 $(GO) build -o bin/ ./cmd/aem-exec ./examples/handlers/...

demo: build
	bin/aem-exec -c configs/aem.toml run

check:
	@unformatted=$$(gofmt -l .) && if [ -n "$$unformatted" ]; then echo "not gofmt'ed: $$unformatted" >&2; exit 1; fi
	$(GO) mod tidy -diff
	GOARCH=amd64 $(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./...
	GOARCH=arm64 $(GO) build -o /dev/null ./...

test: check
	$(GO) test -race ./...

# What is asked of the whole program, of one that is installed: PROGRAM=/usr/local/bin/aem-exec.
test-installed:
	AEM_TEST_INSTALLED=$(or $(PROGRAM),$(shell command -v aem-exec),$(error no aem-exec in PATH: PROGRAM=FILE names one)) $(GO) test -count=1 ./test

# The tests under other kernels, in emulated guests: GUESTS="old" names some (test/vm).
test-vm:
	$(GO) run ./test/vm $(GUESTS)

# For a user who may use sudo: the tests are built as the user and run as root.
test-root:
	$(GO) test -race -exec 'sudo env PATH=$(PATH) AEM_TEST_NOSKIP=1' ./...

lint:
	$(GO) tool -modfile=tools/go.mod golangci-lint run

fuzz:
	@for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x $$package || exit 1; \
		done; \
	done

bench: bin/peers
	$(GO) run ./bench $(GROUPS)

# What the benchmarks compare with, where apt-get is there and may install; a peer that is missing is named and left out.
# xinetd cannot be installed beside openbsd-inetd: it is unpacked.
bin/peers:
	-apt-get install -y -qq --no-install-recommends $(PEERS)
	mkdir -p $@
	-cd $@ && apt-get download -qq xinetd && dpkg -x xinetd_*.deb .

generate:
	$(GO) generate ./...
