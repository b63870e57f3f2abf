package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// peer is a program that runs a handler for each connection, as we do.
type peer struct {
	name     string
	packaged string // the Debian package it comes from
	programs []string
	http     bool // its handler is a CGI program
	// command is its command line, and files are what it reads, with @DIR, @PORT, @HANDLER and @USER in both.
	command string
	files   map[string]string
	beside  string // another program it needs
}

// peers are configured to take as many connections as come, with as little beside the handler as they can.
var peers = []peer{
	{
		name: "tcpserver", packaged: "ucspi-tcp", programs: []string{"tcpserver"},
		command: "tcpserver -RHl0 -q -c 1000 127.0.0.1 @PORT @HANDLER",
	},
	{
		name: "inetd", packaged: "openbsd-inetd", programs: []string{"inetd"},
		command: "inetd -i -R 1000000 @DIR/inetd.conf",
		files:   map[string]string{"inetd.conf": "127.0.0.1:@PORT stream tcp nowait.1000000 @USER @HANDLER line\n"},
	},
	{
		name: "xinetd", packaged: "xinetd", programs: []string{"xinetd"},
		command: "xinetd -dontfork -f @DIR/xinetd.conf -pidfile @DIR/xinetd.pid -filelog /dev/null",
		files: map[string]string{"xinetd.conf": `service line
{
	type = UNLISTED
	socket_type = stream
	protocol = tcp
	wait = no
	bind = 127.0.0.1
	port = @PORT
	user = @USER
	server = @HANDLER
	instances = UNLIMITED
	per_source = UNLIMITED
	cps = 1000000 1
}
`},
	},
	{
		name: "systemd", packaged: "systemd", programs: []string{"systemd-socket-activate"},
		command: "systemd-socket-activate -l 127.0.0.1:@PORT --accept --inetd @HANDLER",
	},
	{
		name: "fcgiwrap", packaged: "nginx-light and fcgiwrap", programs: []string{"nginx", "fcgiwrap"}, http: true,
		command: "nginx -p @DIR -c @DIR/nginx.conf -e stderr",
		beside:  "fcgiwrap -c 4 -s unix:@DIR/fcgi.sock",
		files: map[string]string{"nginx.conf": `daemon off; worker_processes 1; pid nginx.pid; error_log stderr crit; @NGINXUSER
events {}
http {
	access_log off;
	client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
	server {
		listen 127.0.0.1:@PORT;
		location / {
			fastcgi_pass unix:@DIR/fcgi.sock;
			fastcgi_param GATEWAY_INTERFACE CGI/1.1;
			fastcgi_param REQUEST_METHOD $request_method;
			fastcgi_param QUERY_STRING $query_string;
			fastcgi_param SCRIPT_FILENAME @HANDLER;
		}
	}
}
`},
	},
	{
		name: "socat", packaged: "socat", programs: []string{"socat"},
		command: "socat TCP-LISTEN:@PORT,bind=127.0.0.1,reuseaddr,fork,backlog=128 EXEC:@HANDLER",
	},
}

// missing is the first of the peer's programs that this host lacks.
func (p *peer) missing() string {
	for _, program := range p.programs {
		if _, err := findPeer(program); err != nil {
			return program
		}
	}
	return ""
}

// findPeer looks where daemons are, and in bin/peers: Debian lets nobody install inetd and xinetd at once, so that one of
// them has to be unpacked there (`make bench` does).
func findPeer(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "bin/peers/usr/sbin", "bin/peers/usr/bin"} {
		if path, err := filepath.Abs(filepath.Join(dir, program)); err == nil {
			if _, err := os.Stat(path); err == nil {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("no %s", program)
}

// start runs the peer, and what it needs beside it, in a folder of its own.
func (p *peer) start(b *bench, handler string, port int) (*running, error) {
	dir := filepath.Join(b.dir, p.name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	user, nginxUser := strconv.Itoa(os.Geteuid()), ""
	if b.root {
		user, nginxUser = "root", "user root root;"
	}
	fill := strings.NewReplacer("@DIR", dir, "@PORT", strconv.Itoa(port), "@HANDLER", handler, "@USER", user, "@NGINXUSER", nginxUser)
	for name, text := range p.files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(fill.Replace(text)), 0o644); err != nil {
			return nil, err
		}
	}
	r := &running{}
	for _, line := range []string{p.beside, p.command} {
		if line == "" {
			continue
		}
		if err := r.start(strings.Fields(fill.Replace(line))); err != nil {
			return nil, errors.Join(err, r.close())
		}
	}
	return r, nil
}

// running is a server's processes, in the order they were started.
type running struct{ commands []*exec.Cmd }

func (r *running) start(command []string) error {
	program, err := findPeer(command[0])
	if err != nil {
		return err
	}
	cmd := exec.Command(program, command[1:]...)
	// It ends with us however we end; main keeps its thread for that. Its own words are not for our output.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return err
	}
	r.commands = append(r.commands, cmd)
	return nil
}

// close ends each server by the process group that it leads: what it has made is in there, unless it ends that itself.
func (r *running) close() error {
	for _, cmd := range r.commands {
		group := -cmd.Process.Pid                                                           // nobody else's until its leader is waited for
		syscall.Kill(group, syscall.SIGTERM)                                                //nolint:errcheck // it has ended
		killer := time.AfterFunc(patience, func() { syscall.Kill(group, syscall.SIGKILL) }) //nolint:errcheck // likewise
		cmd.Wait()                                                                          //nolint:errcheck // how a peer ends is its own business
		killer.Stop()
	}
	r.commands = nil
	return nil
}
