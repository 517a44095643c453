package enginetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// testOffsets follows offsets through frames, advances, checkpoints and restarts.
func testOffsets(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	want := func(offsets ...*pb.KafkaOffset) {
		t.Helper()
		got := w.e.Offsets()
		if len(got) != len(offsets) {
			t.Fatalf("offsets are %v, want %v", got, offsets)
		}
		for i := range got {
			if !proto.Equal(got[i], offsets[i]) {
				t.Errorf("offset %d is %v, want %v", i, got[i], offsets[i])
			}
		}
	}
	want()
	ingest := func(id string, at *pb.KafkaOffset) {
		t.Helper()
		if _, err := w.e.Ingest(context.Background(), []features.IngestItem{{Event: w.bet(id, "p", 0), Kafka: at}}); err != nil {
			t.Fatalf("cannot ingest: %v", err)
		}
	}
	anew := kafka(0, 3)
	anew.TopicId = []byte("another-topic-id")
	ingest("a", kafka(0, 10))
	ingest("b", kafka(1, 5))
	want(kafka(0, 10), kafka(1, 5))
	w.restart(true)
	want(kafka(0, 10), kafka(1, 5))
	ingest("c", kafka(0, 11))
	ingest("d", anew)
	w.restart(false)
	want(kafka(0, 11), kafka(1, 5), anew)
	if err := w.e.Advance(context.Background(), []*pb.KafkaOffset{kafka(0, 99), kafka(1, 4)}); err != nil {
		t.Fatal(err)
	}
	if err := w.e.Advance(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	want(kafka(0, 99), kafka(1, 4), anew) // the last word counts: somebody went back
	w.restart(false)
	want(kafka(0, 99), kafka(1, 4), anew)
	w.restart(true)
	want(kafka(0, 99), kafka(1, 4), anew)
	w.e.Offsets()[0].Offset = 1 // the caller's own
	want(kafka(0, 99), kafka(1, 4), anew)
}

// testBounded passes more players through memory than fit.
func testBounded(t *testing.T, subject Subject) {
	const entities, players = 128, 3000
	w := newWorld(t, subject, withConfig(func(c *features.EngineConfig) { c.MaxEntities, c.CheckpointFrames = entities, 100 }))
	var batch []*features.Event
	for n := range players {
		batch = append(batch, w.bet(fmt.Sprint("e", n), fmt.Sprint("p", n), float64(n)/100))
		if len(batch) == 50 {
			if _, err := w.e.Ingest(context.Background(), items(batch)); err != nil {
				t.Fatal(err)
			}
			batch = batch[:0]
			if s := w.e.Stats(); s.Entities > 2*entities+100 {
				t.Fatalf("%d entities are in memory, %d are allowed", s.Entities, entities)
			}
		}
	}
	if err := w.e.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	probes := []*features.Event{w.bet("x", "p0", 31), w.bet("y", "p1500", 31), w.bet("z", "nobody", 31)}
	w.wantValue(w.vector(probes[0]), "bets_1m", 2)
	w.wantValue(w.vector(probes[2]), "bets_1m", 1)
	w.wantLikeJournal(probes)
	for n := range 200 {
		w.vector(w.bet(fmt.Sprint("q", n), fmt.Sprint("q", n), 31)) // reading only must not fill it either
	}
	if s := w.e.Stats(); s.Evicted == 0 || s.Entities > entities+64 {
		t.Errorf("%d entities are in memory, %d are allowed, %d were evicted", s.Entities, entities, s.Evicted)
	}
}

// testClosing ends an engine.
func testClosing(t *testing.T, subject Subject) {
	w := newWorld(t, subject)
	w.apply(w.bet("a", "p", 0))
	e := w.e
	w.halt(true)
	if err := e.Close(); !errors.Is(err, features.ErrClosed) {
		t.Errorf("a second Close: %v, want ErrClosed", err)
	}
	if _, err := e.Admit(context.Background(), w.bet("b", "p", 1)); !errors.Is(err, features.ErrClosed) {
		t.Errorf("Admit after Close: %v, want ErrClosed", err)
	}
	if _, err := e.Ingest(context.Background(), items([]*features.Event{w.bet("b", "p", 1)})); !errors.Is(err, features.ErrClosed) {
		t.Errorf("Ingest after Close: %v, want ErrClosed", err)
	}
	if err := e.Checkpoint(context.Background()); !errors.Is(err, features.ErrClosed) {
		t.Errorf("Checkpoint after Close: %v, want ErrClosed", err)
	}
	if err := e.Features(context.Background(), features.EntityRef{}, 0, w.set, &features.Vector{}); !errors.Is(err, features.ErrClosed) {
		t.Errorf("Features after Close: %v, want ErrClosed", err)
	}
}
