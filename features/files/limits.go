package files

// What a file may ask of the machine. A file beyond a limit is refused by name; none of them is a target.
const (
	maxMapBytes    = 256 << 10
	maxColumns     = 4096
	maxRowBytes    = 1 << 20
	maxTextBytes   = 64 << 10
	maxLabelSpecs  = 16
	maxJSONDepth   = 64
	maxFooterBytes = 4 << 20
	// A page is what parquet decodes at once.
	maxPageBytes  = 64 << 20
	maxPageValues = 1 << 24
	maxThriftList = 1 << 16
	// Labels that wait for their time, at about 400 bytes each.
	maxPending = 4 << 20
	// Rows and bytes that are sorted in memory at once, before they go to a temporary file.
	sortRunRows  = 200_000
	sortRunBytes = 128 << 20
	maxSortRuns  = 512
)

// byteOrderMark begins files that some editors and spreadsheets write. It is no part of what is said.
const byteOrderMark = "\ufeff"
