// Package enginetest is the contract of features.Engine as tests, over any journal and any States: the invariant (a
// vector depends only on the set of frames applied and on the evaluation time), interleavings, failed writes, restarts
// and crashes.
//
// It knows no implementation of either and tests no windows; features/tiles does that. Random tests print their seed,
// and take it back from PITBOSS_SEED. Start reading at Run, then world.go for what the tests are written in and casino.go for their events.
package enginetest

import (
	"testing"

	"pitboss/features"
	"pitboss/journal"
)

// Subject is what an engine stands on.
type Subject struct {
	// Journal and States open what is kept in dir.
	Journal func(t testing.TB, dir string) journal.Journal
	States  func(t testing.TB, dir string) features.States
	// Durable says that what was kept is there again after Close and opening dir again. Where it is not, a restart is a
	// new engine over the same values.
	Durable bool
	// Sides opens sides for backfills, in dir.
	Sides func(t testing.TB, dir string) features.Sides
	// Scratch gives empty States in memory, for engines that others are compared with.
	Scratch func() features.States
}

// Run runs the contract, but for what RunInterleave and RunCrash do.
func Run(t *testing.T, subject Subject) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"inside or on the fly", testInside},
		{"what a reference counts", testReference},
		{"corrections", testCorrections},
		{"correction before its original", testCorrectionFirst},
		{"blocked events", testBlocked},
		{"an event replaced", testReplaced},
		{"original that is erased", testLostOriginal},
		{"original that retention removed", testRemovedOriginal},
		{"corrections at once", testCorrectionsAtOnce},
		{"corrections of a new group", testCorrectionOfNewGroup},
		{"late by 30 days", testLate},
		{"watermarks", testWatermarks},
		{"producers whose clocks differ", testClocks},
		{"admission", testAdmission},
		{"second caller", testSecondCaller},
		{"transactions", testTransactions},
		{"kafka then call", testKafkaThenCall},
		{"call then kafka", testCallThenKafka},
		{"two decisions on one player", testConcurrentDecisions},
		{"one event asked many times at once", testSameEventAtOnce},
		{"vectors beside an erasure", testPinnedErasure},
		{"a record that is not as its pins say", testVerifyFinds},
		{"retry after the reply was lost", testLostReply},
		{"hot address", testHotAddress},
		{"failed write", testFailedWrite},
		{"tickets", testTickets},
		{"failed write under load", testFailedWriteUnderLoad},
		{"the disk stays full", testStaysFull},
		{"restarts", testRestarts},
		{"torn checkpoint", testTornCheckpoint},
		{"lost tail", testLostTail},
		{"lost tail of a broken checkpoint", testLostTailOfBroken},
		{"state and journal that do not fit", testMisfits},
		{"dedupe at any age", testDedupeAges},
		{"warming up", testWarmingUp},
		{"warming up after an old event", testWarmingUpLate},
		{"subject keys", testSubjectKeys},
		{"erasure", testErasure},
		{"erasure of nobody", testErasureOf},
		{"erasure of both sides", testErasureOfBothSides},
		{"offsets", testOffsets},
		{"bounded memory", testBounded},
		{"flood of unknown entities", testFlood},
		{"backfill", testBackfill},
		{"backfill without a restart", testUse},
		{"positions across a backfill", testPinAcrossBackfill},
		{"torn backfill", testTornBackfill},
		{"correction across a backfill", testCorrectionAcrossBackfill},
		{"erasure during a backfill", testErasureInBackfill},
		{"removed group", testRemovedGroup},
		{"backfill from before the journal", testBackfillFromPast},
		{"backfill from before the first event", testBackfillFromBefore},
		{"erasure before a backfill from elsewhere", testErasureBeforePast},
		{"a past that cannot be read", testUnreadablePast},
		{"sweep", testSweep},
		{"sweep keeps keys", testSweepKeepsKeys},
		{"torn sweep", testTornSweep},
		{"sweep beside load", testSweepBesideLoad},
		{"records", testRecords},
		{"closing", testClosing},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, subject) })
	}
}

// RunInterleave plays the same events in many ways: in other orders and batches, sent again, with ends of the process and
// with feature sets that change on the way, and by many callers at once. All vectors are what they are in order and alone.
func RunInterleave(t *testing.T, subject Subject) {
	t.Helper()
	t.Run("order does not matter", func(t *testing.T) { testOrderFree(t, subject) })
	t.Run("upgrade in mid-stream", func(t *testing.T) { testUpgradeInMidStream(t, subject) })
	t.Run("vectors as their pins say", func(t *testing.T) { testPinned(t, subject) })
}
