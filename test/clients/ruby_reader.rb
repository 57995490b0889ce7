# A reader on Ruby's own HTTP client and WEBrick. Commands come on stdin, one JSON object a line; events go to stdout likewise.
require "json"
require "net/http"
require "openssl"
require "securerandom"
require "webrick"

$stdout.sync = true
port = Integer(ARGV[1])
callback = "http://127.0.0.1:#{port}/callback?feed=ü"
secret = SecureRandom.hex

def say(event, **fields)
  $stdout.puts JSON.generate({ event:, **fields })
end

# Ruby 4.0 has taken this default from Net::HTTP, so a body has no Content-Type there.
class PostOfRuby4 < Net::HTTP::Post
  private

  def supply_default_content_type; end
end

# The three ways to send a form with Ruby's own client.
def post(hub, how, form)
  return Net::HTTP.post_form(hub, form) if how == "post_form"

  body = URI.encode_www_form(form)
  Net::HTTP.start(hub.host, hub.port, use_ssl: hub.scheme == "https") do |http|
    how == "post" ? http.post(hub.path, body) : http.request(PostOfRuby4.new(hub.path), body)
  end
end

class Callback < WEBrick::HTTPServlet::AbstractServlet
  def do_GET(request, response)
    intent = request.query.transform_values { |value| value.dup.force_encoding("UTF-8") }
    say "verified", topic: intent["hub.topic"], mode: intent["hub.mode"], feed: intent["feed"]
    response.content_type = "text/plain"
    response.body = intent["hub.challenge"]
  end

  def do_POST(request, response)
    method, signature = request["X-Hub-Signature"].to_s.split("=", 2)
    right = method && OpenSSL.secure_compare(OpenSSL::HMAC.hexdigest(method, @options[0], request.body), signature)
    say right ? "content" : "forged", method:, type: request.content_type, body: [request.body].pack("m0")
    response.status = 204
  end
end

server = WEBrick::HTTPServer.new(
  BindAddress: "127.0.0.1", Port: port, AccessLog: [], Logger: WEBrick::Log.new($stderr, WEBrick::Log::WARN),
)
server.mount "/callback", Callback, secret
Thread.new { server.start }
say "ready"
$stdin.each_line do |line|
  command = JSON.parse(line)
  mode, topic = command.values_at("do", "topic")
  form = { "hub.mode" => mode }
  if mode == "publish"
    form["hub.url"] = topic
  else
    form.update("hub.topic" => topic, "hub.callback" => callback, "hub.secret" => secret)
  end
  answer = post(URI(command["hub"]), command["how"], form)
  say "answered", mode:, how: command["how"], status: answer.code.to_i, text: answer.body
end
