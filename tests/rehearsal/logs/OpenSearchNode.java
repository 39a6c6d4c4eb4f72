import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.opensearch.analysis.common.CommonAnalysisPlugin;
import org.opensearch.common.settings.Settings;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/** One node of OpenSearch on loopback, with the modules that its archive loads for logs: HOME HTTP_PORT TRANSPORT_PORT. */
public class OpenSearchNode extends Node {
    OpenSearchNode(Settings settings) {
        super(
            InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "logs"),
            List.of(Netty4Plugin.class, CommonAnalysisPlugin.class),
            false
        );
    }

    public static void main(String[] arguments) throws Exception {
        OpenSearchNode node = new OpenSearchNode(
            Settings.builder()
                .put("path.home", Path.of(arguments[0]).toAbsolutePath())
                .put("cluster.name", "logs")
                .put("network.host", "127.0.0.1")
                .put("http.port", arguments[1])
                .put("transport.port", arguments[2])
                .put("discovery.type", "single-node")
                .put("transport.type", "netty4")
                .put("http.type", "netty4")
                .put("cluster.routing.allocation.disk.threshold_enabled", false)
                .build()
        );
        CountDownLatch end = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (Exception problem) {
                problem.printStackTrace();
            }
            end.countDown();
        }));
        node.start();
        end.await();
    }
}
