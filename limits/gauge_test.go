package limits

import (
	"testing"
	"time"
)

func TestGaugeIsReachedAndRelaxes_R101(t *testing.T) {
	g := Count("activations", 16)
	now := time.Unix(1, 0)
	for range 16 {
		if !g.Room(1) || g.Relax() {
			t.Fatalf("%+v", g)
		}
		g.Add(1)
	}
	if g.Room(1) || !g.Reach(now) || g.Reach(now.Add(1)) {
		t.Errorf("at the limit: %+v", g)
	}
	if g.Add(-1); !g.Room(1) || g.Room(2) || g.Relax() {
		t.Errorf("with one place: %+v", g)
	}
	if g.Add(-1); !g.Relax() || g.Relax() || !g.Since.IsZero() {
		t.Errorf("with an eighth: %+v", g)
	}
	if g.Used != 14 || g.Peak != 16 || g.Reached != 1 || g.Last != now {
		t.Errorf("%+v", g)
	}
}

func TestGaugeOfOnePlaceRelaxes(t *testing.T) {
	g := Count("activations", 1)
	g.Add(1)
	if !g.Reach(time.Now()) || g.Relax() {
		t.Errorf("%+v", g)
	}
	if g.Add(-1); !g.Relax() {
		t.Errorf("%+v", g)
	}
}

func TestLastBytesMayExceedTheLimit(t *testing.T) {
	g := Bytes("queue_bytes", 10)
	if g.Add(9); !g.Room(100) {
		t.Errorf("a byte is left: %+v", g)
	}
	if g.Add(100); g.Room(1) {
		t.Errorf("%+v", g)
	}
}

func TestGaugeWithoutALimitOnlyCounts(t *testing.T) {
	g := Count("processes", 0)
	g.Add(1 << 40)
	if g.Add(-1); !g.Room(1<<40) || g.Peak != 1<<40 {
		t.Errorf("%+v", g)
	}
}
