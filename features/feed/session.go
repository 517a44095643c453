package feed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	pb "pitboss/proto/pitboss/v1"
)

// maxFetch and maxDecompressed bound what one answer of a broker may take in memory, before and after decompression.
const (
	maxFetch        = 16 << 20
	maxDecompressed = 64 << 20
)

// session is the life of one Kafka client, from its first look at the topics to its end.
type session struct {
	*Feed

	client *kgo.Client
	admin  *kadm.Client

	// mu guards all below: callbacks of the client and watch run beside Run's goroutine. lags' lock may be taken under it,
	// and no other; nothing waits under it.
	mu sync.Mutex
	// topics are the ids of the topics that are read.
	topics map[string]kadm.TopicID
	// owned are the partitions that the group gave us.
	owned map[partition]bool
	// pending are offsets that were passed without a frame since they were last noted.
	pending map[partition]*pb.KafkaOffset
	// partitions is how many each topic had when we last looked.
	partitions map[string]int
	// committed is what the group was told last.
	committed map[partition]int64
	// held are the records of the partitions that are paused because a schema cannot be looked up.
	held map[partition][]item
	// found is what the last look at the brokers showed to have changed, and be acted on by Run's goroutine.
	found finding

	// question is the one that the registry is asked now; Run's goroutine alone touches it. asks are those under way.
	question *question
	asks     sync.WaitGroup
}

// finding is what watch tells Run's goroutine.
type finding struct {
	// anew names a topic that is another one than the one we read.
	anew string
	// appeared says that a topic is there now that was missing.
	appeared bool
}

// connect runs one session.
func (f *Feed) connect(ctx context.Context) error {
	s := &session{
		Feed: f, topics: map[string]kadm.TopicID{}, owned: map[partition]bool{}, partitions: map[string]int{},
		pending: map[partition]*pb.KafkaOffset{}, committed: map[partition]int64{},
	}
	opts, err := s.options()
	if err != nil {
		return err
	}
	if s.client, err = kgo.NewClient(opts...); err != nil {
		return fmt.Errorf("cannot make a kafka client: %w", err)
	}
	s.admin = kadm.NewClient(s.client)
	defer s.close(ctx)
	if err := s.awaitTopics(ctx); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { s.watch(watching) })
	defer watch.Wait()
	defer s.asks.Wait()
	defer stop()
	return s.read(watching)
}

func (s *session) options() ([]kgo.Opt, error) {
	opts, err := s.cfg.dialing()
	if err != nil {
		return nil, err
	}
	often := max(10*time.Millisecond, min(s.cfg.AdvanceEvery, 5*time.Second))
	opts = append(opts,
		kgo.ConsumerGroup(s.cfg.Group), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.AdjustFetchOffsetsFn(s.assigned), kgo.OnPartitionsRevoked(s.revoked), kgo.OnPartitionsLost(s.dropped),
		// Never reset by itself: what is out of range is refused, by name.
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		// What a producer's transaction took back was never said.
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// A look at the topics is worth as much as what it sees is new; and a fetch that waits for records keeps
		// partitions waiting that were given to us since.
		kgo.MetadataMinAge(often), kgo.FetchMaxWait(often),
		kgo.FetchMaxBytes(maxFetch), kgo.MaxDecompressBatchBytes(maxDecompressed),
		// Dead letters: none may be lost, one may come twice, and waiting for one must end when the feed ends, which an
		// idempotent write in flight would not.
		kgo.DisableIdempotentWrite(), kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	)
	if s.cfg.Instance != "" {
		opts = append(opts, kgo.InstanceID(s.cfg.Instance))
	}
	return opts, nil
}

// awaitTopics waits until the brokers answer and have a topic to be read.
func (s *session) awaitTopics(ctx context.Context) error {
	for {
		began, err := s.begin(ctx)
		if err != nil || began {
			return err
		}
		if !pause(ctx, s.cfg.RetryEvery) {
			return ctx.Err()
		}
	}
}

// read polls until ctx ends.
func (s *session) read(ctx context.Context) error {
	noted := time.Now()
	for ctx.Err() == nil {
		if err := s.poll(ctx); err != nil {
			return err
		}
		if time.Since(noted) < s.cfg.AdvanceEvery {
			continue
		}
		noted = time.Now()
		s.note(ctx, s.client.CommitOffsets)
		if err := s.act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// poll takes one batch. Rebalances wait while it is under way, so that a revoked partition has nothing half done.
func (s *session) poll(ctx context.Context) error {
	polling, cancel := context.WithTimeout(ctx, s.cfg.AdvanceEvery)
	if s.question != nil {
		defer context.AfterFunc(s.question.over, cancel)() //nolint:contextcheck // it ends the poll: with its answer, partitions go on
	}
	fetches := s.client.PollRecords(polling, s.cfg.MaxBatch)
	cancel()
	defer s.client.AllowRebalance()
	if err := s.complaints(ctx, fetches); err != nil {
		return err
	}
	if err := s.apply(ctx, fetches); err != nil {
		return err
	}
	return s.skipTooLarge(ctx, fetches)
}

// act does what watch found to be done.
func (s *session) act(ctx context.Context) error {
	s.mu.Lock()
	found := s.found
	s.found = finding{}
	s.mu.Unlock()
	if found.anew != "" {
		return fmt.Errorf("%w: topic %q was made anew", errAgain, found.anew)
	}
	if !found.appeared {
		return nil
	}
	_, err := s.begin(ctx)
	return err
}

// complaints sorts what a poll complains of: what passes by itself is shown in the status, what does not is returned.
func (s *session) complaints(ctx context.Context, fetches kgo.Fetches) error {
	var fatal error
	fetches.EachError(func(topic string, p int32, err error) {
		if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return
		}
		if found := s.complaint(topic, p, err); fatal == nil {
			fatal = found
		}
	})
	return fatal
}

func (s *session) complaint(topic string, p int32, err error) error {
	loss, isLoss := errors.AsType[*kgo.ErrDataLoss](err)
	switch {
	case isLoss:
		// The client goes on at ResetTo by itself; we do not.
		s.lost[partition{topic, p}] = fmt.Sprintf("kafka lost records that were read: it has none from offset %d on, and %d was read",
			loss.ResetTo, loss.ConsumedTo-1)
		return fmt.Errorf("%w: %w", errAgain, err)
	case errors.Is(err, kerr.OffsetOutOfRange):
		return fmt.Errorf("%w: topic %q partition %d: %w", errAgain, topic, p, err)
	case errors.Is(err, kerr.FencedInstanceID):
		return &RefusedError{Partition: -1,
			Why:    fmt.Sprintf("another process joined group %q as instance %q and reads in our place", s.cfg.Group, s.cfg.Instance),
			Choice: "stop one of the two; if both are meant, give each a group of its own (both read everything) or kafka.instance (they share)"}
	case errors.Is(err, kgo.ErrClientClosed):
		return fmt.Errorf("%w: %w", errAgain, err)
	case errors.Is(err, kgo.ErrMaxDecompress):
		return nil // skipTooLarge's
	}
	s.fetchFailed(partition{topic, p}, err)
	return nil
}

// commitFunc is one of the client's ways to commit offsets.
type commitFunc = func(context.Context, map[string]map[int32]kgo.EpochOffset, func(*kgo.Client, *kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error))

// note writes the offsets that no frame carries, and tells the group how far reading is, for lag monitors.
func (s *session) note(ctx context.Context, tell commitFunc) {
	s.mu.Lock()
	pending := maps.Clone(s.pending)
	s.mu.Unlock()
	if len(pending) > 0 {
		if err := s.engine.Advance(ctx, slices.Collect(maps.Values(pending))); err != nil {
			s.waiting(err)
			return // they stay pending
		}
		s.writing()
	}
	s.mu.Lock()
	for p, at := range pending {
		if s.pending[p] == at {
			delete(s.pending, p)
		}
	}
	s.mu.Unlock()
	if commit := s.uncommitted(); len(commit) > 0 {
		tell(ctx, commit, nil) // its failure costs a lag monitor a second
	}
}

// uncommitted are the offsets that the group was not told yet.
func (s *session) uncommitted() map[string]map[int32]kgo.EpochOffset {
	commit := map[string]map[int32]kgo.EpochOffset{}
	stored := s.stored()
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.owned {
		at, ok := stored[p]
		if !ok || s.committed[p] == at.GetOffset()+1 {
			continue
		}
		s.committed[p] = at.GetOffset() + 1
		if commit[p.topic] == nil {
			commit[p.topic] = map[int32]kgo.EpochOffset{}
		}
		commit[p.topic][p.id] = kgo.EpochOffset{Epoch: -1, Offset: at.GetOffset() + 1}
	}
	return commit
}

// assigned replaces the group's offsets by the journal's.
func (s *session) assigned(_ context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	stored := s.stored()
	for topic, partitions := range offsets {
		for id := range partitions {
			p := partition{topic, id}
			next := int64(0)
			// Where a topic is to start at its end, begin noted that before anything was assigned: a partition that
			// nothing is stored of is one to be read whole.
			partitions[id] = kgo.NewOffset().AtStart()
			if at, ok := stored[p]; ok {
				next = at.GetOffset() + 1
				partitions[id] = kgo.NewOffset().At(next).WithEpoch(-1)
			}
			s.mu.Lock()
			s.owned[p] = true
			s.mu.Unlock()
			s.lags.next(p, next)
		}
	}
	s.noteLag()
	s.joined()
	return offsets, nil
}

// revoked runs before partitions go to another member: everything polled is applied already (rebalances wait for a
// batch), so only the offsets without a frame are left to note.
func (s *session) revoked(ctx context.Context, _ *kgo.Client, partitions map[string][]int32) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	s.note(ctx, s.client.CommitOffsetsSync)
	s.dropped(ctx, nil, partitions)
}

// dropped forgets partitions. Others may read them already: an offset that is noted for them now would take theirs back.
func (s *session) dropped(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	s.forget(partitions)
	s.letGo(partitions)
	s.noteLag()
}

func (s *session) forget(partitions map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, ids := range partitions {
		for _, id := range ids {
			p := partition{topic, id}
			delete(s.owned, p)
			delete(s.pending, p)
			delete(s.committed, p)
			s.lags.drop(p)
		}
	}
}

// close notes what is left and leaves. It outlives ctx, by Config.Timeout at most.
func (s *session) close(ctx context.Context) {
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
	defer cancel()
	s.client.AllowRebalance()
	s.note(ending, s.client.CommitOffsetsSync)
	if err := s.client.LeaveGroupContext(ending); err != nil {
		s.log.Debug("kafka: left without saying so", "error", err)
	}
	s.client.Close()
	s.lags.clear()
	s.noteLag()
	s.parted()
}
