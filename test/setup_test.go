package test

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/internal/aemtest"
)

// patience is what anything here may take.
var patience = aemtest.Slow(30 * time.Second)

func TestMain(m *testing.M) {
	aemtest.NoLeaks(m, func() { os.RemoveAll(programsDir()) })
}

// freeAddress is an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
