// Drives MOSIP's own client (kernel-websubclient-api) by commands on stdin, one a line, its words separated by tabs. Each is answered by one
// line on stdout that begins with "> " and goes on with JSON. The subscriber is a Spring application as MOSIP's services are: its
// controller has MOSIP's annotation, so MOSIP's filter answers the challenge and MOSIP's aspect checks X-Hub-Signature.

import com.fasterxml.jackson.databind.ObjectMapper;
import io.mosip.kernel.core.websub.spi.PublisherClient;
import io.mosip.kernel.core.websub.spi.SubscriptionClient;
import io.mosip.kernel.core.websub.spi.SubscriptionExtendedClient;
import io.mosip.kernel.websub.api.annotation.PreAuthenticateContentAndVerifyIntent;
import io.mosip.kernel.websub.api.config.IntentVerificationConfig;
import io.mosip.kernel.websub.api.config.WebSubClientConfig;
import io.mosip.kernel.websub.api.config.publisher.RestTemplateHelper;
import io.mosip.kernel.websub.api.config.publisher.WebSubPublisherClientConfig;
import io.mosip.kernel.websub.api.model.FailedContentRequest;
import io.mosip.kernel.websub.api.model.FailedContentResponse;
import io.mosip.kernel.websub.api.model.SubscriptionChangeRequest;
import io.mosip.kernel.websub.api.model.SubscriptionChangeResponse;
import io.mosip.kernel.websub.api.model.UnsubscriptionRequest;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.ImportAutoConfiguration;
import org.springframework.boot.autoconfigure.aop.AopAutoConfiguration;
import org.springframework.boot.autoconfigure.context.PropertyPlaceholderAutoConfiguration;
import org.springframework.boot.autoconfigure.http.HttpMessageConvertersAutoConfiguration;
import org.springframework.boot.autoconfigure.jackson.JacksonAutoConfiguration;
import org.springframework.boot.autoconfigure.web.servlet.DispatcherServletAutoConfiguration;
import org.springframework.boot.autoconfigure.web.servlet.ServletWebServerFactoryAutoConfiguration;
import org.springframework.boot.autoconfigure.web.servlet.WebMvcAutoConfiguration;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.http.HttpHeaders;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;

public class Driver {
  /** Bodies that MOSIP's aspect has let through. */
  static final List<String> RECEIVED = new CopyOnWriteArrayList<>();
  static volatile boolean failing;

  @RestController
  public static class Subscriber {
    @PostMapping("/callback")
    @PreAuthenticateContentAndVerifyIntent(secret = "${driver.secret}", callback = "/callback", topic = "${driver.topic}")
    public void take(@RequestBody(required = false) String body) {
      if (failing) throw new IllegalStateException("the subscriber fails");
      RECEIVED.add(body);
    }
  }

  @Configuration
  @ImportAutoConfiguration({
    PropertyPlaceholderAutoConfiguration.class,
    ServletWebServerFactoryAutoConfiguration.class,
    DispatcherServletAutoConfiguration.class,
    HttpMessageConvertersAutoConfiguration.class,
    JacksonAutoConfiguration.class,
    WebMvcAutoConfiguration.class,
    AopAutoConfiguration.class,
  })
  @Import({
    Subscriber.class,
    RestTemplateHelper.class,
    WebSubClientConfig.class,
    WebSubPublisherClientConfig.class,
    IntentVerificationConfig.class,
  })
  public static class Application {}

  /** Arguments: the hub's URL, the URL for failed content, topic, secret. */
  public static void main(String[] args) throws Exception {
    PrintStream out = new PrintStream(System.out, true, "UTF-8");
    System.setOut(System.err);
    System.setProperty("driver.topic", args[2]);
    System.setProperty("driver.secret", args[3]);
    ConfigurableApplicationContext context = new SpringApplication(Application.class).run();
    Driver driver = new Driver(context, args);
    ObjectMapper json = new ObjectMapper();
    out.println("> " + json.writeValueAsString(driver.callback));
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      Object answer;
      try {
        answer = driver.obey(line.split("\t", -1));
      } catch (Exception error) {
        answer = Collections.singletonMap("error", String.valueOf(error.getMessage()));
      }
      out.println("> " + json.writeValueAsString(answer));
    }
    System.exit(0);
  }

  private final String hub;
  private final String failedUrl;
  private final String topic;
  private final String secret;
  private final String callback;
  private final RestTemplate rest;
  private final PublisherClient<String, Object, HttpHeaders> publisher;
  private final SubscriptionClient<SubscriptionChangeRequest, UnsubscriptionRequest, SubscriptionChangeResponse> subscriber;
  private final SubscriptionExtendedClient<FailedContentResponse, FailedContentRequest> extended;

  @SuppressWarnings("unchecked")
  private Driver(ConfigurableApplicationContext context, String[] args) {
    hub = args[0];
    failedUrl = args[1];
    topic = args[2];
    secret = args[3];
    callback = "http://127.0.0.1:" + context.getEnvironment().getProperty("local.server.port") + "/callback";
    rest = context.getBean("websubRestTemplate", RestTemplate.class);
    publisher = context.getBean("publisherClient", PublisherClient.class);
    subscriber = context.getBean("subscriptionClient", SubscriptionClient.class);
    extended = context.getBean("subscriptionExtendedClient", SubscriptionExtendedClient.class);
  }

  private Object obey(String[] words) {
    switch (words[0]) {
      case "token":
        rest.getInterceptors().clear();
        rest.getInterceptors().add((request, body, execution) -> {
          // As MOSIP's kernel-auth-adapter sends it.
          request.getHeaders().set(HttpHeaders.COOKIE, "Authorization=" + words[1]);
          return execution.execute(request, body);
        });
        return "done";
      case "register":
        publisher.registerTopic(topic, hub);
        return "done";
      case "unregister":
        publisher.unregisterTopic(topic, hub);
        return "done";
      case "publish":
        publisher.publishUpdate(topic, words[1], "application/json", null, hub);
        return "done";
      case "publishObject":
        publisher.publishUpdate(topic, Collections.singletonMap("event", words[1]), "application/json", null, hub);
        return "done";
      case "notify":
        publisher.notifyUpdate(topic, null, hub);
        return "done";
      case "subscribe": {
        SubscriptionChangeRequest request = new SubscriptionChangeRequest();
        request.setHubURL(hub);
        request.setTopic(topic);
        request.setCallbackURL(callback);
        request.setSecret(secret);
        return subscriber.subscribe(request);
      }
      case "unsubscribe": {
        UnsubscriptionRequest request = new UnsubscriptionRequest();
        request.setHubURL(hub);
        request.setTopic(topic);
        request.setCallbackURL(callback);
        return subscriber.unSubscribe(request);
      }
      case "failed": {
        FailedContentRequest request = new FailedContentRequest();
        request.setHubURL(failedUrl);
        request.setTopic(topic);
        request.setCallbackURL(callback);
        request.setSecret(words.length > 4 ? words[4] : secret);
        request.setTimestamp(words[1]);
        request.setPaginationIndex(Integer.parseInt(words[2]));
        request.setMessageCount(Integer.parseInt(words[3]));
        return extended.getFailedContent(request);
      }
      case "failing":
        failing = Boolean.parseBoolean(words[1]);
        return "done";
      case "received": {
        Map<String, Object> received = new LinkedHashMap<>();
        received.put("bodies", RECEIVED);
        return received;
      }
      default:
        throw new IllegalArgumentException(words[0]);
    }
  }
}
