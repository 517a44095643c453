package feed_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pitboss/features"
	"pitboss/features/feed"
	"pitboss/features/states"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// manySteps makes segments and checkpoints small and many, to be killed in.
func manySteps(j *journal.Config, e *features.EngineConfig) {
	j.SegmentBytes, e.CheckpointFrames = 256<<10, 200
}

// openFiles opens journal, states and engine in a directory, with defaults that may be changed.
func openFiles(dir string, set *features.Set, kinds *features.Kinds, change func(*journal.Config, *features.EngineConfig)) (journal.Journal, features.States, *features.Engine, error) {
	jc, cfg := journal.DefaultConfig(), features.DefaultEngineConfig()
	jc.Dir, jc.MasterKey = filepath.Join(dir, "journal"), bytes.Repeat([]byte{7}, 32)
	cfg.Kinds = kinds
	change(&jc, &cfg)
	j, _, err := journal.OpenFile(jc)
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := states.OpenBadger(states.BadgerConfig{Dir: filepath.Join(dir, "states")})
	if err != nil {
		return nil, nil, nil, errors.Join(err, j.Close())
	}
	engine, err := features.OpenEngine(context.Background(), cfg, j, s, set)
	if err != nil {
		return nil, nil, nil, errors.Join(err, s.Close(), j.Close())
	}
	return j, s, engine, nil
}

// childEnv names the environment variable that makes the test binary the process to be killed.
const childEnv = "PITBOSS_FEED_TEST_CHILD"

// childSpec is what the child is told.
type childSpec struct {
	Brokers []string `json:"brokers"`
	Topic   string   `json:"topic"`
	Dir     string   `json:"dir"`
	// DieAt is the step between two calls of the engine at which the process kills itself; 0 is never.
	DieAt int64 `json:"die_at"`
}

func (s childSpec) dyingAt(rng *rand.Rand) childSpec {
	s.DieAt = 1 + rng.Int64N(5*eventsPerRound)
	return s
}

// childProcess is a child at work.
type childProcess struct {
	t       *testing.T
	cmd     *exec.Cmd
	stderr  bytes.Buffer
	reading chan struct{} // closed when it reads, or has died before
	exited  chan struct{}
	err     error // of the process; read it after exited
}

func startChild(t *testing.T, spec childSpec) *childProcess {
	t.Helper()
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	c := &childProcess{t: t, cmd: exec.Command(os.Args[0]), reading: make(chan struct{}), exited: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	c.cmd.Stderr = &c.stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.exited)
		lines := bufio.NewScanner(out)
		lines.Scan()
		close(c.reading)
		_, _ = io.Copy(io.Discard, out)
		c.err = c.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.exited
	})
	return c
}

// killAfter kills the child after a random time: while it starts, while it reads, or not before it has killed itself.
func (c *childProcess) killAfter(rng *rand.Rand) {
	c.t.Helper()
	wait := time.Duration(rng.IntN(300)) * time.Millisecond
	if rng.IntN(5) > 0 {
		<-c.reading
	}
	select {
	case <-c.exited:
	case <-time.After(wait):
	}
	c.kill()
}

func (c *childProcess) kill() {
	c.t.Helper()
	_ = c.cmd.Process.Kill() // it may be dead already
	<-c.exited
	if status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		c.t.Fatalf("the child ended by itself: %v\n%s", c.err, c.stderr.String())
	}
}

// terminate ends the child as an operator would. What it was to read may have been read before its last death, so that
// it is waited for: a signal before it listens for one would kill it.
func (c *childProcess) terminate() {
	c.t.Helper()
	<-c.reading
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	<-c.exited
	if c.err != nil {
		c.t.Fatalf("the child did not end well: %v\n%s", c.err, c.stderr.String())
	}
}

// mortal is an engine whose process ends at a step.
type mortal struct {
	*features.Engine
	left *atomic.Int64
}

func (m mortal) step() {
	if m.left.Add(-1) != 0 {
		return
	}
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {} // nothing happens any more
}

func (m mortal) Admit(ctx context.Context, ev *features.Event) (*features.Slot, error) {
	m.step()
	return m.Engine.Admit(ctx, ev)
}

func (m mortal) Append(ctx context.Context, s *features.Slot, frame *pb.EventFrame) (features.Ticket, error) {
	m.step()
	t, err := m.Engine.Append(ctx, s, frame)
	m.step()
	return t, err
}

func (m mortal) Written(ctx context.Context, t features.Ticket) error {
	m.step()
	err := m.Engine.Written(ctx, t)
	m.step()
	return err
}

func (m mortal) Advance(ctx context.Context, offsets []*pb.KafkaOffset) error {
	m.step()
	err := m.Engine.Advance(ctx, offsets)
	m.step()
	return err
}

// runChild is the process that is killed: it reads until it is told to end, and then ends well.
func runChild(text string) error {
	var spec childSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	p := &partsOfChild{}
	if err := p.open(spec); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	running, cancel := context.WithCancel(context.Background())
	defer cancel()
	var background sync.WaitGroup
	background.Go(func() { _ = p.engine.Run(running) }) // it returns nil
	background.Go(func() { sayWhenReading(running, p.feed) })
	err := p.feed.Run(ctx)
	cancel()
	background.Wait()
	return errors.Join(err, p.engine.Close(), p.states.Close(), p.journal.Close())
}

type partsOfChild struct {
	journal journal.Journal
	states  features.States
	engine  *features.Engine
	feed    *feed.Feed
}

func (p *partsOfChild) open(spec childSpec) error {
	tb := &noTest{}
	e, set := newEdge(tb), newSet(tb)
	var err error
	if p.journal, p.states, p.engine, err = openFiles(spec.Dir, set, newKinds(tb), manySteps); err != nil {
		return err
	}
	cfg := testConfig(&broker{addrs: spec.Brokers}, spec.Topic)
	cfg.MaxBatch = 64 // some batches a round
	left := &atomic.Int64{}
	left.Store(spec.DieAt)
	p.feed, err = feed.New(cfg, mortal{p.engine, left}, e, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	return err
}

// noTest lets a child, which is no test, use what tests use.
type noTest struct{ testing.TB }

func (*noTest) Helper() {}

func (*noTest) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func sayWhenReading(ctx context.Context, f *feed.Feed) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for f.Status().State != feed.StateReading {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	fmt.Fprintln(os.Stdout, "reading")
}
