import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/** Posts a file some times with the JDK's client as it is made by default, which offers HTTP/2; prints each answer. */
public class HttpClientPost {
    /** Arguments: address, file, "length" or "chunks", and how often. */
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        byte[] body = Files.readAllBytes(Path.of(arguments[1]));
        for (int number = 0; number < Integer.parseInt(arguments[3]); number++) {
            HttpRequest.BodyPublisher publisher = arguments[2].equals("chunks")
                ? HttpRequest.BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body))
                : HttpRequest.BodyPublishers.ofByteArray(body);
            HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
                .timeout(Duration.ofSeconds(20)).header("Content-Type", "application/json").POST(publisher).build();
            System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
        }
    }
}
