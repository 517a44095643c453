package enginetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// childDir names the environment variable by which a test binary learns that it is the process to be killed.
const childDir = "PITBOSS_CRASH_CHILD"

// CrashChild is called first in TestMain. In the child process of RunCrash it works until it is killed, and does not
// return.
func CrashChild(subject Subject) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return
	}
	t := &childTB{}
	w := newWorld(t, subject, func(w *world) { w.dir = dir }, withConfig(smallCheckpoints), backfillChild)
	c := newMovingCasino(1)
	say("started")
	// Records are read from where the journal says, as a feed does. In between somebody asks for decisions.
	next := 1
	for _, at := range w.e.Offsets() {
		next = int(at.GetOffset()) + 1
	}
	for n := 1; ; n++ {
		ev := w.decode(c.message())
		if n < next-20 {
			continue
		}
		if n < next {
			w.sendAgain(ev)
			continue
		}
		if n%5 == 0 {
			w.decideIfNew(ev) // before it comes by Kafka
			say("decided", n)
		}
		results, err := w.e.Ingest(context.Background(), []features.IngestItem{{Event: ev, Kafka: kafka(0, int64(n))}})
		if err != nil {
			t.Fatalf("cannot ingest: %v", err)
		}
		if results[0].Duplicate {
			if err := w.e.Advance(context.Background(), []*pb.KafkaOffset{kafka(0, int64(n))}); err != nil {
				t.Fatalf("cannot advance: %v", err)
			}
		}
		say("ingested", n)
		if n%20 == 0 {
			if err := w.e.Sweep(context.Background()); err != nil {
				t.Fatalf("cannot sweep: %v", err)
			}
		}
	}
}

// say tells the parent. A line that is written is one that it may believe.
func say(words ...any) { _, _ = fmt.Fprintln(os.Stdout, words...) }

func smallCheckpoints(c *features.EngineConfig) { c.CheckpointFrames, c.MaxEntities = 60, 64 }

// sendAgain is what a producer does that got no answer.
func (w *world) sendAgain(ev *features.Event) {
	s := w.admit(ev)
	defer s.Release()
	if _, ok := s.Known(); !ok {
		w.t.Fatalf("%s was read before and is not known", ev.ID)
	}
}

// childTB is as much of a testing.TB as a process without tests needs: every failure ends it.
type childTB struct{ testing.TB }

func (*childTB) Helper()        {}
func (*childTB) Cleanup(func()) {}
func (*childTB) TempDir() string {
	return os.TempDir() // replaced by the parent's directory
}
func (*childTB) Logf(string, ...any) {}
func (*childTB) Fatal(args ...any) {
	say(append([]any{"failed"}, args...)...)
	os.Exit(1)
}
func (t *childTB) Fatalf(format string, args ...any) { t.Fatal(fmt.Sprintf(format, args...)) }
func (t *childTB) Errorf(format string, args ...any) { t.Fatal(fmt.Sprintf(format, args...)) }

// RunCrash kills a process that works, again and again (PITBOSS_ROUNDS, default 3), and starts it anew over what
// is left. What it had acknowledged is there, nothing is there twice, and every vector is that of the journal alone.
// The subject must be durable, and TestMain must call CrashChild.
func RunCrash(t *testing.T, subject Subject) {
	t.Helper()
	dir := t.TempDir()
	ingested, decided := crashRounds(t, dir, roundsOr(t, 3), 250*time.Millisecond)
	t.Logf("%d records and %d decisions were acknowledged", ingested, len(decided))
	w := newWorld(t, subject, func(w *world) { w.dir = dir }, withConfig(smallCheckpoints))
	wantAcknowledged(w, ingested, decided)
}

// crashRounds starts and kills the child, each time after most at the latest, and gives what it acknowledged.
func crashRounds(t *testing.T, dir string, rounds int, most time.Duration) (ingested int, decided map[int]bool) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed(t, 0), 3))
	decided = map[int]bool{}
	for range rounds {
		for _, line := range runAndKill(t, dir, 20*time.Millisecond+time.Duration(rng.Int64N(int64(most)))) {
			what, number, _ := strings.Cut(line, " ")
			n, _ := strconv.Atoi(number)
			switch what {
			case "ingested":
				ingested = max(ingested, n) // one may be missing: written, and killed before it was said
			case "decided":
				decided[n] = true
			case "started":
			default:
				t.Fatalf("the process said %q", line)
			}
		}
	}
	return ingested, decided
}

// runAndKill starts the child, lets it work for a while after its first word, kills it and gives what it said. A last
// line that was cut short is left out.
func runAndKill(t *testing.T, dir string, work time.Duration) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$") //nolint:gosec // this very binary
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	first, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("the process did not start: %v", err)
	}
	kill := time.AfterFunc(work, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	rest, err := io.ReadAll(r)
	if err != nil && !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	lines := []string{strings.TrimSpace(first)}
	for line := range strings.Lines(string(rest)) {
		if strings.HasSuffix(line, "\n") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// wantAcknowledged looks for what was acknowledged, and compares what is left with the journal.
func wantAcknowledged(w *world, ingested int, decided map[int]bool) {
	t := w.t
	t.Helper()
	c := newMovingCasino(1)
	events := w.events(c, ingested)
	for i, ev := range events {
		n := i + 1
		if ev.ReceivedAt < c.now-30*86400*1_000_000 {
			continue // nobody asks any more, and it need not be known
		}
		s, err := w.e.Admit(context.Background(), ev)
		if err != nil {
			t.Fatalf("record %d: %v", n, err)
		}
		known, ok := s.Known()
		s.Release()
		if !ok {
			t.Errorf("record %d was acknowledged and is not known", n)
		}
		if !decided[n] {
			continue
		}
		if known.Decision.IsZero() {
			t.Errorf("the decision on record %d was acknowledged and is not known", n)
		} else if _, err := w.e.Record(context.Background(), "acme", ev.Key.String()); err != nil {
			t.Errorf("the decision on record %d: %v", n, err)
		}
	}
	wantOnce(t, w.j)
	w.wantLikeJournal(w.recent(c, 50))
}

// wantOnce reads the whole journal: no event is applied by two frames, and none decided twice.
func wantOnce(t testing.TB, j journal.Journal) {
	t.Helper()
	cursor, err := j.Read(journal.Pos{})
	if err != nil {
		t.Fatalf("cannot read the journal: %v", err)
	}
	defer func() { _ = cursor.Close() }()
	applied, decided := map[string]journal.Pos{}, map[string]journal.Pos{}
	for {
		f, err := cursor.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("cannot read the journal: %v", err)
		}
		if f.Kind != features.FrameEvent {
			continue
		}
		frame := &pb.EventFrame{}
		if err := proto.Unmarshal(f.Payload, frame); err != nil {
			t.Fatalf("frame %v: %v", f.Pos, err)
		}
		id := frame.GetEvent().GetEventId()
		if frame.GetAppliedAt() == nil {
			if first, ok := applied[id]; ok {
				t.Errorf("%s is applied by frames %v and %v", id, first, f.Pos)
			}
			applied[id] = f.Pos
		}
		if frame.GetDecision() != nil {
			if first, ok := decided[id]; ok {
				t.Errorf("%s is decided by frames %v and %v", id, first, f.Pos)
			}
			decided[id] = f.Pos
		}
	}
}
