package source

import (
	"testing"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/internal/sys"
)

// TestDatagramsComeInBatches_R031: one turn takes a bounded number, and a hold within it loses none.
func TestDatagramsComeInBatches_R031(t *testing.T) {
	r := newReader(t, "udp://127.0.0.1:0", Read{})
	client := r.client()
	const all = sys.DatagramBatch + 10
	for i := range all {
		say(t, client, string(rune('0'+i)))
	}
	r.then = func(detected) {
		if len(r.detected) == 3 {
			r.source.Hold(readJob)
		}
	}
	r.turn(t, patience)
	if len(r.detected) != 3 || len(r.job().ports[0].kept) != sys.DatagramBatch-3 {
		t.Fatalf("%d detected, %d kept", len(r.detected), len(r.job().ports[0].kept))
	}
	r.quiet(t, 10*time.Millisecond)
	r.source.Resume(readJob)
	if len(r.detected) != sys.DatagramBatch {
		t.Errorf("then %d are detected", len(r.detected))
	}
	r.events(t, all)
	for i, e := range r.detected {
		if want := string(rune('0' + i)); string(e.Data) != want {
			t.Errorf("datagram %d is %q, want %q", i, e.Data, want)
		}
		e.answer(string(e.Data) + "!")
	}
	for i := range all {
		r.gets(client, string(rune('0'+i))+"!")
	}
}

func TestLongDatagramIsThrownAway(t *testing.T) {
	r := newReader(t, "udp://127.0.0.1:0", Read{MaxBytes: 4})
	client := r.client()
	say(t, client, "12345")
	say(t, client, "1234")
	if e := r.next(); string(e.Data) != "1234" {
		t.Errorf("%q", e.Data)
	}
	if n := r.job().tooLong.n; n != 1 {
		t.Errorf("%d are counted", n)
	}
}

// TestReplyToNobody: a unix datagram without a name cannot be answered, and an event that failed has no answer.
func TestReplyToNobody(t *testing.T) {
	r := newReader(t, "unixgram:"+abstract(t), Read{})
	nameless := dial(t, r.network, r.at)
	say(t, nameless, "x")
	r.next().answer("y")
	if n := r.job().unsent.n; n != 1 {
		t.Errorf("%d are counted", n)
	}
	named := r.client()
	say(t, named, "x")
	r.next().end(aem.Completion{Outcome: aem.Failed, Reply: []byte("no")})
	say(t, named, "x")
	r.next().answer("yes")
	r.gets(named, "yes")
}
