// Counter counts the events of its topic for as long as it lives, and prints the count with the data of each. It is a
// handler with life = "resident".
package main

import (
	"context"
	"fmt"

	"github.com/aem-exec/aem-exec/handler"
)

func main() {
	count := 0
	handler.Run(func(_ context.Context, e *handler.Event) error {
		count++
		_, err := fmt.Printf("%d %s %s\n", count, e.Fact("topic"), e.Data)
		return err
	})
}
