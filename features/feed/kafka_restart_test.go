package feed_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestFeedWhileKafkaRestarts kills a broker under a feed and starts it again. The broker is one of its own: others use the
// one that PITBOSS_KAFKA names.
func TestFeedWhileKafkaRestarts(t *testing.T) {
	realKafka(t) // or skip
	if testing.Short() {
		t.Skip("starts a broker, twice")
	}
	env := append(os.Environ(), "KAFKA_DATA="+t.TempDir())
	kafka := func(command string) string {
		t.Helper()
		// Not the test's context: it has ended when the broker is wiped.
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "../../scripts/kafka.sh", command)
		cmd.Env, cmd.Stderr = env, t.Output()
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("kafka.sh %s: %v", command, err)
		}
		return strings.TrimSpace(string(out))
	}
	addr := kafka("start")
	t.Cleanup(func() { kafka("wipe") })
	r := newRig(t, dial(t, []string{addr}))
	goesAway(r, func() { kafka("kill9") }, func() {
		if again := kafka("start"); again != addr {
			t.Fatalf("the broker came back at %s, it was at %s", again, addr)
		}
	})
}
