package files

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/format"
)

// checkFooter walks the footer before anything believes it.
func checkFooter(r io.ReaderAt, size int64) error {
	var tail [8]byte
	if size < 12 {
		return fmt.Errorf("the file has %d bytes: too few for parquet", size)
	}
	if _, err := r.ReadAt(tail[:], size-8); err != nil {
		return fmt.Errorf("cannot read the end: %w", err)
	}
	if string(tail[4:]) != "PAR1" {
		return fmt.Errorf("the file does not end in PAR1 (encrypted and torn files are not read)")
	}
	n := int64(binary.LittleEndian.Uint32(tail[:4]))
	if n > maxFooterBytes || n > size-12 {
		return fmt.Errorf("the footer claims %d bytes: at most %d, and less than the file's %d", n, maxFooterBytes, size)
	}
	footer := make([]byte, n)
	if _, err := r.ReadAt(footer, size-8-n); err != nil {
		return fmt.Errorf("cannot read the footer: %w", err)
	}
	w := thriftWalk{data: footer}
	if err := w.structure(0, 0); err != nil {
		return fmt.Errorf("the footer is not parquet's: %w", err)
	}
	return nil
}

// pageHeader is what matters of a page's header.
type pageHeader struct {
	compressed, uncompressed, values int64
	length                           int64
}

// Field numbers of parquet.thrift, PageHeader and the headers inside it.
const (
	fieldUncompressed   = 2
	fieldCompressed     = 3
	fieldDataPage       = 5
	fieldDictionaryPage = 7
	fieldDataPageV2     = 8
	fieldNumValues      = 1
)

func readPageHeader(r io.ReaderAt, at, end int64, buf []byte) (pageHeader, error) {
	n, err := r.ReadAt(buf[:min(int64(len(buf)), end-at)], at)
	if err != nil && !errors.Is(err, io.EOF) {
		return pageHeader{}, fmt.Errorf("cannot read the page header at byte %d: %w", at, err)
	}
	var h pageHeader
	w := thriftWalk{data: buf[:n], number: func(outer, inner int16, v int64) {
		switch {
		case outer == fieldUncompressed && inner == 0:
			h.uncompressed = v
		case outer == fieldCompressed && inner == 0:
			h.compressed = v
		case inner == fieldNumValues && (outer == fieldDataPage || outer == fieldDictionaryPage || outer == fieldDataPageV2):
			h.values = max(h.values, v)
		}
	}}
	if err := w.structure(0, 0); err != nil {
		return pageHeader{}, fmt.Errorf("page header at byte %d: %w", at, err)
	}
	h.length = int64(w.at)
	return h, nil
}

// checkChunk walks the page headers of a column chunk, so that no page asks for more than it may.
func checkChunk(r io.ReaderAt, size int64, meta *format.ColumnMetaData) error {
	start, length := meta.DataPageOffset, meta.TotalCompressedSize
	if meta.DictionaryPageOffset != 0 {
		start = meta.DictionaryPageOffset
	}
	if start < 4 || length < 0 || start > size-8 || length > size-8-start {
		return fmt.Errorf("the column claims %d bytes from byte %d on, of %d", length, start, size)
	}
	buf := make([]byte, 64<<10)
	for at, end := start, start+length; at < end; {
		h, err := readPageHeader(r, at, end, buf)
		if err != nil {
			return err
		}
		if h.compressed < 0 || h.compressed > maxPageBytes || h.uncompressed < 0 || h.uncompressed > maxPageBytes {
			return fmt.Errorf("the page at byte %d claims %d bytes, %d unpacked: at most %d", at, h.compressed, h.uncompressed, maxPageBytes)
		}
		if h.values < 0 || h.values > maxPageValues {
			return fmt.Errorf("the page at byte %d claims %d values: at most %d", at, h.values, maxPageValues)
		}
		at += h.length + h.compressed
	}
	return nil
}
