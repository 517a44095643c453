package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"pitboss/features"
	"pitboss/features/files"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/sim"
)

// simSink is where events go.
type simSink interface {
	write(ev *pb.Event) error
	close() error
}

// troublePause is how long a run that waits does so before it tries again.
const troublePause = time.Second

func openSimSink(ctx context.Context, f simFlags, casino *sim.Sim) (simSink, error) {
	switch {
	case len(f.brokers) > 0:
		var more []kgo.Opt
		if f.trouble == troubleStop {
			more = append(more, kgo.RecordDeliveryTimeout(30*time.Second))
		}
		return newKafkaSink(ctx, f.brokers, f.topic, more...)
	case f.parquet != "":
		return newParquetSink(f.parquet)
	case f.grpc != "":
		return newServerSink(ctx, f, casino)
	}
	return openJSONFile(ctx, f.out, f)
}

// jsonFile writes messages as JSON lines.
type jsonFile struct {
	out  *steadyFile
	json *sim.JSONWriter
}

func openJSONFile(ctx context.Context, path string, f simFlags) (*jsonFile, error) {
	out, err := openSteadyFile(ctx, path, f.resume, f.trouble == troubleWait)
	if err != nil {
		return nil, err
	}
	return &jsonFile{out: out, json: sim.NewJSONWriter(out)}, nil
}

func (j *jsonFile) write(ev *pb.Event) error { return j.json.Write(ev) }

func (j *jsonFile) close() error {
	return errors.Join(j.json.Flush(), j.out.close())
}

// truthFile writes truths as JSON lines; without a path it writes nothing.
type truthFile struct{ file *jsonFile }

func openTruth(ctx context.Context, f simFlags) (*truthFile, error) {
	if f.truth == "" {
		return &truthFile{}, nil
	}
	file, err := openJSONFile(ctx, f.truth, f)
	return &truthFile{file}, err
}

func (t *truthFile) write(truth sim.Truth) error {
	if t.file == nil {
		return nil
	}
	return t.file.json.WriteTruth(truth)
}

func (t *truthFile) close() error {
	if t.file == nil {
		return nil
	}
	return t.file.close()
}

// steadyFile is a file that may have a beginning already, which must be what is written, and whose disk may be full for a
// while.
type steadyFile struct {
	ctx  context.Context //nolint:containedctx // the command's own, for writes that wait for room
	file *os.File
	// past reads what was there; nil once all of it was seen. compared counts its bytes.
	past     *bufio.Reader
	compared int64
	waits    bool
	scratch  []byte
}

func openSteadyFile(ctx context.Context, path string, resume, waits bool) (*steadyFile, error) {
	s := &steadyFile{ctx: ctx, file: os.Stdout, waits: waits}
	if path == "-" {
		return s, nil
	}
	mode := os.O_RDWR | os.O_CREATE | os.O_TRUNC
	if resume {
		mode = os.O_RDWR | os.O_CREATE
	}
	var err error
	if s.file, err = os.OpenFile(path, mode, 0o644); err != nil { //nolint:gosec // simulated events are nobody's secret
		return nil, fmt.Errorf("cannot make the file: %w", err)
	}
	if resume {
		s.past = bufio.NewReaderSize(s.file, 1<<18)
	}
	return s, nil
}

// Write compares with what was there before, and appends what is new.
func (s *steadyFile) Write(p []byte) (int, error) {
	fresh, err := s.compare(p)
	if err != nil {
		return 0, err
	}
	for len(fresh) > 0 {
		n, err := s.file.Write(fresh)
		fresh = fresh[n:]
		switch {
		case err == nil:
		case errors.Is(err, syscall.ENOSPC) && s.waits:
			if !sleepUntil(s.ctx, time.Now().Add(troublePause)) {
				return len(p) - len(fresh), err
			}
		case errors.Is(err, syscall.ENOSPC):
			return len(p) - len(fresh), fmt.Errorf("%w: make room and go on with --resume", err)
		default:
			return len(p) - len(fresh), err
		}
	}
	return len(p), nil
}

// compare gives what of p is beyond the end of what was there.
func (s *steadyFile) compare(p []byte) ([]byte, error) {
	if s.past == nil {
		return p, nil
	}
	if cap(s.scratch) < len(p) {
		s.scratch = make([]byte, len(p))
	}
	there := s.scratch[:len(p)]
	n, err := io.ReadFull(s.past, there)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("cannot read what is there: %w", err)
	}
	if !bytes.Equal(there[:n], p[:n]) {
		return nil, fmt.Errorf("cannot go on with %q: within %d bytes after byte %d it is of another seed or other settings", s.file.Name(),
			n, s.compared)
	}
	s.compared += int64(n)
	if n < len(p) {
		s.past = nil
	}
	return p[n:], nil
}

func (s *steadyFile) close() error {
	if s.file == os.Stdout {
		return nil
	}
	return s.file.Close()
}

// parquetSink writes Parquet files by type and day.
type parquetSink struct{ lake *files.Lake }

func newParquetSink(dir string) (*parquetSink, error) {
	kinds, err := features.NewKinds(nil)
	if err != nil {
		return nil, err
	}
	lake, err := files.NewLake(dir, kinds)
	return &parquetSink{lake}, err
}

func (p *parquetSink) write(ev *pb.Event) error { return p.lake.Write(ev) }
func (p *parquetSink) close() error             { return p.lake.Close() }

// serverSink sends to a pitboss server: all events as batches, or of an adaptive casino acts one by one, for an answer.
type serverSink struct {
	ctx    context.Context //nolint:containedctx // the command's own, for calls that wait for the server
	conn   *grpc.ClientConn
	client pb.DecisionServiceClient
	events pb.EventServiceClient
	// casino is told the answers; nil where nobody asks.
	casino *sim.Sim
	batch  []*pb.Event
	waits  bool
	sent   uint64
}

// publishBatch is how many events a call carries at most.
const publishBatch = 500

func newServerSink(ctx context.Context, f simFlags, casino *sim.Sim) (*serverSink, error) {
	key := f.key
	if key == "" {
		key = os.Getenv("PITBOSS_KEY")
	}
	conn, err := dial(f.grpc, key)
	if err != nil {
		return nil, err
	}
	s := &serverSink{
		ctx: ctx, conn: conn, client: pb.NewDecisionServiceClient(conn), events: pb.NewEventServiceClient(conn),
		waits: f.trouble == troubleWait,
	}
	if f.adaptive {
		s.casino = casino
	}
	return s, nil
}

func (s *serverSink) write(ev *pb.Event) error {
	if s.casino == nil || !asks(ev.GetType()) {
		s.batch = append(s.batch, ev)
		if len(s.batch) < publishBatch {
			return nil
		}
		return s.flush()
	}
	// What happened before the act is known before it is decided.
	if err := s.flush(); err != nil {
		return err
	}
	var answer *pb.Decision
	err := s.call(func() (err error) {
		answer, err = s.client.Decide(s.ctx, &pb.DecisionRequest{Event: ev})
		return err
	})
	if err != nil {
		return err
	}
	s.sent++
	s.casino.Answer(outcomeOf(answer.GetOutcome()))
	return nil
}

func outcomeOf(o pb.Outcome) sim.Outcome {
	switch o {
	case pb.Outcome_OUTCOME_CHALLENGE:
		return sim.Challenge
	case pb.Outcome_OUTCOME_LIMIT:
		return sim.Limit
	case pb.Outcome_OUTCOME_HOLD:
		return sim.Hold
	case pb.Outcome_OUTCOME_BLOCK:
		return sim.Block
	default:
		return sim.Allow
	}
}

// flush sends the batch.
func (s *serverSink) flush() error {
	if len(s.batch) == 0 {
		return nil
	}
	var reply *pb.PublishResponse
	err := s.call(func() (err error) {
		reply, err = s.events.Publish(s.ctx, &pb.PublishRequest{Events: s.batch})
		return err
	})
	if err != nil {
		return err
	}
	for _, r := range reply.GetResults() {
		if e := r.GetError(); e != nil {
			return fmt.Errorf("the server refused event %q: %s: %s", r.GetEventId(), e.GetPath(), e.GetMessage())
		}
	}
	s.sent += uint64(len(s.batch))
	s.batch = s.batch[:0]
	return nil
}

// call asks the server, again and again where it is away and the run waits.
func (s *serverSink) call(ask func() error) error {
	for {
		err := ask()
		switch {
		case err == nil:
			return nil
		case status.Code(err) != codes.Unavailable || !s.waits:
			return fmt.Errorf("cannot send: the first %d events of this run have arrived, go on with --skip: %w", s.sent, err)
		case !sleepUntil(s.ctx, time.Now().Add(troublePause)):
			return err
		}
	}
}

func (s *serverSink) close() error {
	err := s.flush()
	return errors.Join(err, closeConn(s.conn))
}
