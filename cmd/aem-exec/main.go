// Command aem-exec runs handlers when events happen: `run` is the supervisor, `check` judges its file, `emit` and
// `ctl` ask a running one. Each verb has a file of its own, which turns flags into options and does nothing else.
package main

import "os"

func main() { os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
