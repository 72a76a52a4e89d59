package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// peer is a candidate beside Drover. Each is told the same: connections to the two
// backends are kept and shared, X-Forwarded-For is set, nothing is logged.
type peer struct {
	name    string
	program string // "": this one
	speaks  []protocol
	// command is what is run, before configured files that it writes to dir.
	command func(dir string, listen map[protocol]string, backends []string) ([]string, error)
}

var peers = []peer{
	{"httputil", "", []protocol{plain, tls}, standard("plain")},
	{"httputil + BufferPool", "", []protocol{plain, tls}, standard("pooled")},
	{"Caddy", "caddy", []protocol{plain, tls}, caddy},
	{"nginx", "nginx", protocols, nginx},
	{"HAProxy", "haproxy", protocols, haproxy},
}

func standard(buffers string) func(string, map[protocol]string, []string) ([]string, error) {
	return func(dir string, listen map[protocol]string, backends []string) ([]string, error) {
		return append([]string{"proxy", listen[plain], listen[tls], filepath.Join(dir, certFile), filepath.Join(dir, keyFile), buffers}, backends...), nil
	}
}

func haproxy(dir string, listen map[protocol]string, backends []string) ([]string, error) {
	var text strings.Builder
	text.WriteString("global\n  maxconn 4096\ndefaults\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n")
	fmt.Fprintf(&text, "frontend front\n  mode http\n  option http-keep-alive\n  option forwardfor\n  bind %s\n  bind %s ssl crt %s alpn http/1.1\n  default_backend back\n",
		listen[plain], listen[tls], filepath.Join(dir, bothFile))
	fmt.Fprintf(&text, "frontend connections\n  mode tcp\n  bind %s\n  default_backend behind\n", listen[tcp])
	text.WriteString("backend back\n  mode http\n  http-reuse always\n" + haproxyServers(backends))
	text.WriteString("backend behind\n  mode tcp\n" + haproxyServers(backends))
	file := filepath.Join(dir, "haproxy.cfg")
	return []string{"-q", "-db", "-f", file}, os.WriteFile(file, []byte(text.String()), 0o600)
}

func haproxyServers(backends []string) string {
	var text strings.Builder
	text.WriteString("  balance leastconn\n")
	for i, address := range backends {
		fmt.Fprintf(&text, "  server s%d %s\n", i, address)
	}
	return text.String()
}

// streamModule is where Debian has what nginx needs for tcp.
const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

func nginx(dir string, listen map[protocol]string, backends []string) ([]string, error) {
	var servers strings.Builder
	for _, address := range backends {
		fmt.Fprintf(&servers, "    server %s;\n", address)
	}
	text := "worker_processes auto;\npid " + filepath.Join(dir, "nginx.pid") + ";\nerror_log stderr crit;\n"
	if _, err := os.Stat(streamModule); err == nil {
		text += "load_module " + streamModule + ";\n"
	}
	text += "events { worker_connections 4096; }\nhttp {\n  access_log off;\n  keepalive_requests 100000000;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		text += fmt.Sprintf("  %s_temp_path %s;\n", kind, filepath.Join(dir, "nginx-"+kind))
	}
	text += fmt.Sprintf("  upstream back {\n    least_conn;\n%s    keepalive 512;\n    keepalive_requests 100000000;\n  }\n", servers.String())
	text += fmt.Sprintf("  server {\n    listen %s;\n    listen %s ssl;\n    ssl_certificate %s;\n    ssl_certificate_key %s;\n",
		listen[plain], listen[tls], filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
	text += "    location / {\n      proxy_pass http://back;\n      proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n" +
		"      proxy_set_header Host $http_host;\n      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n    }\n  }\n}\n"
	text += fmt.Sprintf("stream {\n  upstream behind {\n    least_conn;\n%s  }\n  server {\n    listen %s;\n    proxy_pass behind;\n  }\n}\n", servers.String(), listen[tcp])
	file := filepath.Join(dir, "nginx.conf")
	return []string{"-e", "stderr", "-c", file, "-g", "daemon off;"}, os.WriteFile(file, []byte(text), 0o600)
}

func caddy(dir string, listen map[protocol]string, backends []string) ([]string, error) {
	back := fmt.Sprintf("  bind 127.0.0.1\n  reverse_proxy %s {\n    lb_policy least_conn\n    transport http {\n      keepalive_idle_conns_per_host 512\n    }\n  }\n",
		strings.Join(backends, " "))
	text := "{\n  admin off\n  auto_https off\n  log {\n    level ERROR\n  }\n  servers {\n    protocols h1\n  }\n}\n"
	text += fmt.Sprintf("http://%s {\n%s}\n", listen[plain], back)
	text += fmt.Sprintf("https://%s {\n  tls %s %s\n%s}\n", listen[tls], filepath.Join(dir, certFile), filepath.Join(dir, keyFile), back)
	file := filepath.Join(dir, "Caddyfile")
	return []string{"run", "--adapter", "caddyfile", "--config", file}, os.WriteFile(file, []byte(text), 0o600)
}

// installed finds a peer's program; "": it is not there.
func installed(program string) string {
	path, err := exec.LookPath(program)
	if err != nil {
		return ""
	}
	return path
}
