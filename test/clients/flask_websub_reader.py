# A reader that uses Flask-WebSub as its manual says. Commands come on stdin, one JSON object a line; events go to stdout likewise.
import base64
import json
import os
import sys
import threading

import flask
from flask_websub.subscriber import SQLite3SubscriberStorage, SQLite3TempSubscriberStorage, Subscriber, discover
from werkzeug.serving import make_server


def say(**event):
    print(json.dumps(event), flush=True)


directory, port = sys.argv[1], int(sys.argv[2])
app = flask.Flask(__name__)
app.config["SERVER_NAME"] = f"127.0.0.1:{port}"
subscriber = Subscriber(
    SQLite3SubscriberStorage(os.path.join(directory, "subscriptions.sqlite3")),
    SQLite3TempSubscriberStorage(os.path.join(directory, "requests.sqlite3")),
)
app.register_blueprint(subscriber.build_blueprint(url_prefix="/callbacks"))


@subscriber.add_listener
def on_content(topic, callback, body):
    say(event="content", topic=topic, body=base64.b64encode(body).decode())


@subscriber.add_success_handler
def on_success(topic, callback, mode):
    say(event="verified", topic=topic, mode=mode)


@subscriber.add_error_handler
def on_error(topic, callback, reason):
    say(event="denied", topic=topic, reason=reason)


server = make_server("127.0.0.1", port, app, threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
say(event="ready")
for line in sys.stdin:
    command = json.loads(line)
    with app.app_context():
        if command["do"] == "subscribe":
            callback = subscriber.subscribe(**discover(command["topic"]))
            say(event="subscribed", callback=callback)
        elif command["do"] == "unsubscribe":
            subscriber.unsubscribe(command["callback"])
            say(event="unsubscribed")
