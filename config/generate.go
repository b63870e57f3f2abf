//go:build ignore

// Generate writes what is made from the table of keys: docs/config.md, docs/events.md and the JSON schema.
package main

import (
	"log"
	"os"

	"github.com/aem-exec/aem-exec/config"
)

func main() {
	for file, text := range map[string][]byte{
		"../docs/config.md":          config.Docs(),
		"../docs/events.md":          config.EventDocs(),
		"../configs/aem.schema.json": config.Schema(),
	} {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
