// Package control is the control socket's protocol, its server side and its Go client: how a message becomes frames,
// who is at the other end, and what each operation takes and answers. docs/control.md tells other languages the same.
//
// It does not know what an operation does, nor who may ask for it: it hands each request, with its peer's identity,
// to the supervisor's Answer and carries the reply back.
package control
