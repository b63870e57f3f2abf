// Package config turns TOML text into supervisor.Options, or into all of its errors at once, each with its line.
//
// One table of keys (keys.go, handlerkeys.go, eventkeys.go) is the source of everything that is known about the file:
// decoding, checking, the nearest right key, the JSON schema for editors and docs/config.md. A key that is in the table
// without being built yet is refused as `not supported yet`, never ignored.
//
// The package judges the text, not the host: whether an executable, a user or a port exists is the supervisor's
// question. Of the host it reads only the file itself and the seccomp files that it names.
package config

//go:generate go run generate.go
