// Package supervisor is the loop: it owns the jobs, turns what sources detect into activations, gives them to agents
// and keeps the books of how each ended.
//
// # One turn of the loop
//
//  1. detect: the poller waits; sources read a bounded batch and call Detected for each event and job.
//  2. activate: Detected counts the event, makes its activation and queues it in its handler's pool. At a limit of the
//     app the job's source is held, so that nothing is detected that there is no room for.
//  3. complete: agents that answered or ended call Completed; the event gets its fate, another attempt or its place in
//     the queue back. What other goroutines want done (Post) and alarms that are due come next.
//  4. run: of the heads of all queues whose pool has a free agent, the one with the highest priority is run, apps taking
//     turns where it is equal, and then the one with the lowest number; until none is left or the turn has had its share.
//
// Everything here belongs to the loop's goroutine unless it says otherwise; there is no lock on a job. The loop makes
// no process, waits for none and writes no log. A copy into a handler's memory is made in step 4 only, as the last
// thing done for an activation: if one never returns, another thread goes on with the loop as it stands.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/aem-exec/aem-exec/aem"
	"github.com/aem-exec/aem-exec/control"
	"github.com/aem-exec/aem-exec/executor"
	"github.com/aem-exec/aem-exec/internal/filter"
	"github.com/aem-exec/aem-exec/internal/spawn"
	"github.com/aem-exec/aem-exec/internal/sys"
	"github.com/aem-exec/aem-exec/internal/timing"
	"github.com/aem-exec/aem-exec/limits"
	"github.com/aem-exec/aem-exec/source"
)

// runsPerTurn bounds how many activations one turn runs before the poller is asked again.
const runsPerTurn = 64

// Supervisor runs handlers when events happen, from New until Run has returned.
type Supervisor struct {
	options Options
	log     *slog.Logger
	logs    *logRing // nil when the embedder gave the logger

	poller  *source.Poller
	alarms  timing.Alarms
	inbox   inbox
	watch   watchdog
	sources map[string]source.Source
	filters filters
	topics  *source.Topics
	closes  *source.Closes

	jobs      registry
	apps      []*app
	pools     []*executor.Pool
	owners    map[*executor.Pool]*app
	active    []*executor.Pool               // those whose queue may have something to run
	late      []*app                         // those with jobs that found no room
	down      map[*executor.Pool][]aem.JobID // pools without agents, and the jobs that asked meanwhile
	starting  map[aem.JobID]*timing.Alarm    // jobs whose sources cannot start
	specs     map[aem.JobID]source.Spec      // of jobs whose source does not keep them
	retries   map[*aem.Activation]*timing.Alarm
	latest    map[aem.JobID]*aem.Activation     // queued last, of jobs that do not let each arrival wait
	joined    map[*aem.Activation][]aem.EventID // arrivals that were merged into it and that somebody waits for
	silences  map[aem.JobID]*silence
	narrowed  map[aem.JobID]*filter.Filter // what evctl gave jobs instead of their registrations' filter; nil: nothing is kept out
	notMeant  uint64                       // events that a filter kept out
	troubled  map[*executor.Pool]bool      // those whose agents cannot be made, as was told
	waiters   map[aem.EventID]*waiter
	tokens    map[string]*attached    // programs that attached themselves
	parents   map[aem.JobID]aem.JobID // of jobs that were inherited
	lastID    aem.EventID
	lastSeq   uint64
	turns     turns
	recycled  recycled
	chronicle chronicle
	started   time.Time
	sensing   bool      // the poller or the alarms have the loop: what they find is detected at one time
	sensed    time.Time // when that was; zero until somebody asks
	idle      bool      // nothing came for a while
	awaited   bool      // a goroutine waits for what this turn did

	tree     *limits.Tree
	stage    *spawn.Stage
	scribe   *executor.Scribe
	census   *executor.Census
	null     *os.File
	denials  *denials
	orphans  orphans
	dead     *deadLetters
	lastRuns *lastRuns
	socket   *control.Listener

	retired   []*executor.Pool // whose handlers have another pool, or are gone
	leaving   []*app           // that are gone from the options, and have not ended yet
	reloading sync.Mutex       // held by who reloads, and from the loop's end on
	closing   sync.WaitGroup   // of apps

	phase phase
	grace timing.Alarm
	done  chan struct{} // closed when the loop has ended
}

// phase is how far the supervisor's life has come.
type phase uint8

const (
	starting phase = iota
	running
	draining // told to stop: nothing is detected, what runs may finish
	killing  // the grace is over
	over
)

// Run detects events and runs handlers until ctx ends; then nothing is detected any more, and what runs may finish
// within the grace. When it returns, no process, goroutine, descriptor, cgroup or socket of the supervisor is left.
func (s *Supervisor) Run(ctx context.Context) error {
	previous := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(max(previous, runtime.NumCPU(), s.lockedThreads()+2))
	defer runtime.GOMAXPROCS(previous)

	s.Post(s.startAll) // before anybody can ask for anything
	serving, stopServing := context.WithCancel(context.Background())
	var servers sync.WaitGroup
	if s.socket != nil {
		servers.Go(func() {
			if err := s.socket.Serve(serving, s.answer, s.log); err != nil {
				s.log.Error("control socket is gone", "err", err)
			}
		})
	}
	servers.Go(func() { s.watch.run(serving) })
	if s.options.Whole {
		servers.Go(func() { s.orphans.run(serving) })
	}
	stop := context.AfterFunc(ctx, func() { s.Post(s.drain) })

	go s.loop(nil)
	<-s.done

	stop()
	stopServing()
	servers.Wait()
	s.reloading.Lock()
	s.closing.Wait()
	if s.options.Whole {
		s.orphans.end()
	}
	return s.close()
}

// Kill ends the grace of a supervisor that was told to stop. It may be called from anywhere.
func (s *Supervisor) Kill() { s.Post(func() { s.drain(); s.kill() }) }

// Alive returns when the loop has done a turn, or ctx has ended first. It may be called from anywhere.
func (s *Supervisor) Alive(ctx context.Context) error {
	turned := make(chan struct{})
	s.Post(func() { close(turned) })
	select {
	case <-turned:
	case <-s.done:
	case <-ctx.Done():
		return fmt.Errorf("wait for the loop: %w", ctx.Err())
	}
	return nil
}

// lockedThreads is how many goroutines have an OS thread of their own: the loop, each app's lane, and handlers on threads
// as far as they are counted. Those may compute, and with fewer Ps the loop would wait behind them.
func (s *Supervisor) lockedThreads() int {
	n := 1 + len(s.apps)
	for _, p := range s.pools {
		if h := p.Spec(); h.Agent == executor.Thread {
			n += h.Concurrency
		}
	}
	return min(n, countedThreads)
}

// countedThreads bounds what the runtime makes for threads: a quarter as many collect garbage at once.
const countedThreads = 128

// loop is the loop's goroutine, on a thread of its own. After a copy that stuck it is started again, with first to be
// done before anything else.
func (s *Supervisor) loop(first func()) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	s.watch.tid.Store(int64(sys.Gettid()))
	sys.ExactSleep() //nolint:errcheck // then timers are up to 50 us late
	s.outrank()      //nolint:errcheck // openApps has tried
	if first != nil {
		first()
	}
	for s.phase != over {
		s.turn()
	}
	close(s.done)
}

func (s *Supervisor) turn() {
	s.sensing, s.sensed = true, time.Time{}
	if err := s.wait(); err != nil {
		panic("aem: internal error: " + err.Error()) // epoll_wait refuses only what a bug can give it
	}
	s.sensing = false
	s.inbox.take()
	s.sensing, s.sensed = true, time.Time{}
	s.alarms.Run(timing.Now())
	s.sensing = false
	s.settle()
	s.run()
	s.releaseLate()
	s.dissolve()
}

// wait waits for what the poller watches, in the way of one to whom more comes soon, until nothing does. But where a
// goroutine waits for what the loop did, that one runs first.
func (s *Supervisor) wait() (err error) {
	if s.idle || s.awaited {
		s.idle, s.awaited = false, false
		return s.poller.Wait(s.patience())
	}
	s.idle, err = s.poller.WaitBriefly(s.patience())
	return err
}

// patience is how long the poller may wait.
func (s *Supervisor) patience() time.Duration {
	if p, _ := s.next(); p != nil || s.inbox.waiting() {
		return 0
	}
	at, ok := s.alarms.Next()
	if !ok {
		return -1
	}
	return max(0, time.Duration(at-timing.Now()))
}

// run is step 4.
func (s *Supervisor) run() {
	for range runsPerTurn {
		p, until := s.next()
		if p == nil {
			return
		}
		p.Run(until)
		s.awaited = s.awaited || p.Spec().Agent == executor.Callback
	}
}

// next is the pool whose head is to be run now, nil when there is nothing to run, and the place of the next best head.
// Pools that have nothing waiting are taken off the list of active ones on the way.
func (s *Supervisor) next() (best *executor.Pool, until executor.Mark) {
	var next *executor.Pool
	var first, second place
	for i := 0; i < len(s.active); i++ {
		p := s.active[i]
		a, ok := p.Head()
		if !ok {
			if p.Empty() {
				last := len(s.active) - 1
				s.active[i], s.active = s.active[last], s.active[:last]
				i--
			}
			continue
		}
		switch at := s.placeOf(p, a); {
		case best == nil:
			best, first = p, at
		case at.before(first):
			best, first, next, second = p, at, best, first
		case next == nil || at.before(second):
			next, second = p, at
		}
	}
	return best, s.mark(best, next, first, second)
}

// Post has f called on the loop. It may be called from anywhere.
func (s *Supervisor) Post(f func()) { s.inbox.put(f) }

// ask calls f on the loop and waits for it. It reports false when the loop has ended. Not for the loop itself.
func (s *Supervisor) ask(f func()) bool { return s.begin(f)() }

// begin has f called on the loop, behind all that was begun before; what it returns waits for that, as ask does.
func (s *Supervisor) begin(f func()) (wait func() bool) {
	done := make(chan struct{})
	s.Post(func() { f(); close(done); s.awaited = true })
	return func() bool {
		select {
		case <-done:
			return true
		case <-s.done:
			return false
		}
	}
}

// inTurns has step done on the loop, turn after turn as long as it says that there is more, and then makes the reply. What
// takes one turn for certain is not waited for: the next request of its connection may begin behind it.
func (s *Supervisor) inTurns(one bool, step func() (more bool), reply func() control.Reply) control.Reply {
	more := false
	turn := func() { more = step() }
	wait := s.begin(turn)
	later := func() control.Reply {
		for wait() && more {
			wait = s.begin(turn)
		}
		return reply()
	}
	if one {
		return control.Reply{Later: later}
	}
	return later()
}

// startAll starts what the options say is to be started.
func (s *Supervisor) startAll() {
	s.phase = running
	for _, p := range s.pools {
		if s.owners[p].spec.Start {
			p.Start()
		}
	}
	for id := range s.jobs.all() {
		j := s.jobs.get(id)
		if reg := s.jobs.registration(j); reg.spec.Start && reg.app.spec.Start {
			s.start(id)
		}
	}
	if ready := s.options.Ready; ready != nil {
		path := ""
		if s.socket != nil {
			path = s.socket.Path()
		}
		ready(s.jobs.count(), len(s.apps), path)
	}
}

// drain begins the end: nothing is detected any more, agents without an event are told to end.
func (s *Supervisor) drain() {
	if s.phase >= draining {
		return
	}
	s.phase = draining
	for id := range s.jobs.all() {
		s.stop(id)
	}
	s.failWaiting()
	for _, p := range s.pools {
		p.Stop()
	}
	s.alarms.After(&s.grace, s.options.Grace, s.kill)
}

// kill ends the grace.
func (s *Supervisor) kill() {
	if s.phase >= killing {
		return
	}
	s.phase = killing
	for _, p := range s.pools {
		p.Kill()
	}
	s.alarms.After(&s.grace, killPatience, func() {
		s.log.Error("agents are left that nothing could end")
		s.phase = over
	})
}

// killPatience is how long killed processes may take to be gone: the kernel has to free their memory.
const killPatience = 5 * time.Second

// settle ends the loop when all agents are gone.
func (s *Supervisor) settle() {
	if s.phase < draining {
		return
	}
	for _, p := range s.pools {
		if !p.Ended() {
			return
		}
	}
	for _, src := range s.sources {
		if !settled(src) && s.phase < killing {
			return // a reply is on its way
		}
	}
	s.grace.Stop()
	s.phase = over
}

// settled reports that a source has nothing to finish, if it ever has.
func settled(src source.Source) bool {
	f, ok := src.(interface{ Settled() bool })
	return !ok || f.Settled()
}

// close lets go of everything, in the reverse order of New. Errors are told together.
func (s *Supervisor) close() error {
	var errs []error
	for _, src := range s.sources {
		src.Close()
	}
	for _, a := range slices.Concat(s.apps, s.leaving) {
		if !a.ending {
			errs = append(errs, a.close())
		}
	}
	for _, p := range s.retired {
		p.Close()
	}
	s.inbox.take() // what the lanes posted last
	if s.scribe != nil {
		s.scribe.Close()
	}
	if s.stage != nil {
		s.stage.Close()
	}
	if s.denials != nil {
		s.denials.close()
	}
	if s.dead != nil {
		errs = append(errs, s.dead.close())
	}
	if s.lastRuns != nil {
		s.lastRuns.close()
	}
	if s.census != nil {
		errs = append(errs, s.census.Close())
	}
	if s.tree != nil {
		errs = append(errs, s.tree.Close())
	}
	if s.null != nil {
		errs = append(errs, s.null.Close())
	}
	if s.socket != nil {
		errs = append(errs, s.socket.Close())
	}
	if s.poller != nil {
		s.inbox.close()
		s.poller.Close()
	}
	if s.logs != nil {
		s.logs.close()
	}
	return errors.Join(errs...)
}
