// Command stamp is the Go handler of the benchmarks: it appends to the file it is given when its event was detected, when
// its first line ran, and who it is. Without a file it only answers.
//
//	stamp AHEAD [FILE]
package main

import (
	"context"
	"encoding/binary"
	"os"
	"strconv"
	"time"

	"github.com/aem-exec/aem-exec/handler"
)

func main() {
	if len(os.Args) < 2 {
		os.Exit(2)
	}
	ahead, _ := strconv.Atoi(os.Args[1])
	var file *os.File
	handler.Run(func(_ context.Context, e *handler.Event) (err error) {
		now := time.Now()
		if len(os.Args) == 2 {
			return nil
		}
		if file == nil {
			if file, err = os.OpenFile(os.Args[2], os.O_WRONLY|os.O_APPEND, 0); err != nil {
				return handler.Fail(err)
			}
		}
		var stamp [24]byte
		for i, v := range []int64{e.Time.UnixNano(), now.UnixNano(), int64(os.Getpid())} {
			binary.NativeEndian.PutUint64(stamp[8*i:], uint64(v))
		}
		_, err = file.Write(stamp[:])
		return err
	}, handler.InFlight(ahead))
}
