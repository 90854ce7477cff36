package lab_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"testing"

	"cdnlab/internal/lab"
	"cdnlab/topology"
)

// BenchmarkHit asks an edge of a whole lab for one cached object over open connections, 16 requests at a time on each.
func BenchmarkHit(b *testing.B) {
	const pipelined = 16
	top, err := topology.Preset("tiny", []string{"sites.*.cache.ttl=1h"})
	if err != nil {
		b.Fatal(err)
	}
	l, err := lab.StartExperiment(slog.New(slog.DiscardHandler))(b.Context(), top, true)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := l.Stop(); err != nil {
			b.Error(err)
		}
	}()
	var at string
	for _, n := range l.Plan().Nodes {
		if n.Kind == topology.KindEdge {
			at = n.HTTP.String()
		}
	}
	request := []byte("GET /synthetic/1KiB/1 HTTP/1.1\r\nHost: www.cdn.test\r\n\r\n")
	var batch []byte
	for range pipelined {
		batch = append(batch, request...)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", at)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		in := bufio.NewReaderSize(c, 64<<10)
		for more := true; more; {
			if _, err := c.Write(batch); err != nil {
				b.Error(err)
				return
			}
			for range pipelined {
				if err := skipResponse(in); err != nil {
					b.Error(err)
					return
				}
				more = pb.Next() && more
			}
		}
	})
}

// skipResponse reads a response with a Content-Length, without allocating.
func skipResponse(in *bufio.Reader) error {
	length := 0
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && string(line[:12]) != "HTTP/1.1 200" {
			return fmt.Errorf("answered %q", line)
		}
		if len(line) > 16 && string(line[:16]) == "Content-Length: " {
			if length, err = strconv.Atoi(string(line[16 : len(line)-2])); err != nil {
				return err
			}
		}
		if len(line) == 2 {
			break
		}
	}
	_, err := in.Discard(length)
	return err
}
