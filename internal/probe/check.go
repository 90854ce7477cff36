package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"cdnlab/topology"
)

// maxHealthBody is how long the answer to a health check may be.
const maxHealthBody = 4096

// Checker asks one server for its health. Each check takes a new connection, as each of the server's clients does: a server
// that still answers on old connections and refuses new ones is of no use to them. Its checks must not overlap.
type Checker struct {
	node    topology.Node
	timeout time.Duration
	dial    func(context.Context, topology.Node) (net.Conn, error)
	request []byte
	in      *bufio.Reader
	resp    fasthttp.Response
}

// NewChecker returns what asks a node. Connecting and answering may take the timeout each.
func NewChecker(n topology.Node, timeout time.Duration, dial func(context.Context, topology.Node) (net.Conn, error)) *Checker {
	return &Checker{
		node: n, timeout: timeout, dial: dial, in: bufio.NewReaderSize(nil, 2048),
		request: fmt.Appendf(nil, "GET /-/health HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", n.HTTP),
	}
}

// StatusError is an answer that is not 200.
type StatusError int

func (e StatusError) Error() string { return fmt.Sprintf("it answered %d", int(e)) }

// Check returns nil when the server answers 200.
func (c *Checker) Check(ctx context.Context) error {
	dialing, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn, err := c.dial(dialing, c.node)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	return c.exchange(conn)
}

func (c *Checker) exchange(conn io.ReadWriter) error {
	if _, err := conn.Write(c.request); err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	c.in.Reset(conn)
	if err := c.resp.ReadLimitBody(c.in, maxHealthBody); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if code := c.resp.StatusCode(); code != fasthttp.StatusOK {
		return StatusError(code)
	}
	return nil
}
