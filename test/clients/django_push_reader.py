# A site that uses django-push as its manual says. Commands come on stdin, one JSON object a line; events go to stdout likewise.
import base64
import json
import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings

directory, port = sys.argv[1], int(sys.argv[2])
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{directory}/site.sqlite3"}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=["django_push.subscriber"],
    PUSH_DOMAIN=f"127.0.0.1:{port}",
    ROOT_URLCONF="django_push.subscriber.urls",
    SECRET_KEY="of a test",
    USE_TZ=True,
)
django.setup()

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django_push.publisher import ping_hub
from django_push.subscriber.models import Subscription
from django_push.subscriber.signals import updated


def say(**event):
    print(json.dumps(event), flush=True)


def on_update(sender, notification, request, links, **kwargs):
    say(event="content", topic=sender.topic, body=base64.b64encode(notification).decode())


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


call_command("migrate", verbosity=0)
updated.connect(on_update)
server = make_server("127.0.0.1", port, get_wsgi_application(), server_class=WSGIServer, handler_class=Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
say(event="ready")
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "subscribe":
        subscription = Subscription.objects.subscribe(command["topic"], hub=command["hub"])
        say(event="subscribed", secret=subscription.secret != "")
    elif command["do"] == "state":
        found = Subscription.objects.filter(topic=command["topic"]).first()
        say(event="state", verified=None if found is None else found.verified)
    elif command["do"] == "unsubscribe":
        Subscription.objects.get(topic=command["topic"]).unsubscribe()
        say(event="unsubscribed")
    elif command["do"] == "publish":
        say(event="pinged", status=ping_hub(command["topic"], hub_url=command["hub"]).status_code)
