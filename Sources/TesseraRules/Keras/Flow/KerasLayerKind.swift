/// What a Keras layer does to the axes of its input.
enum KerasLayerKind: Hashable {
  /// Each element for itself, or all along the features alike.
  case elementwise
  /// A convolution: weights on channels, positions mixed.
  case convolution
  /// Positions mixed, added or taken away, no weights.
  case pooling
  case globalPooling
  /// Weights on the last axis: Dense and EinsumDense.
  case projection
  case recurrent
  case attention
  case normalization
  case batchNormalization
  case embedding
  case flatten, reshape, permute, repeatVector
  case concatenation
  /// Elementwise on several inputs.
  case merge
  case timeDistributed
  case model
  /// Code, or a class that is not known here.
  case opaque

  private static let names: [String: KerasLayerKind] = {
    var names: [String: KerasLayerKind] = [:]
    let groups: [(KerasLayerKind, String)] = [
      (
        .elementwise,
        """
        Activation ReLU LeakyReLU ELU Softmax PReLU ThresholdedReLU Dropout AlphaDropout SpatialDropout1D \
        SpatialDropout2D SpatialDropout3D GaussianNoise GaussianDropout ActivityRegularization Masking \
        Identity Rescaling Normalization UnitNormalization RandomBrightness RandomContrast RandomGrayscale \
        RandomInvert RandomHue RandomSaturation RandomPosterization RandomColorJitter
        """
      ),
      (
        .convolution,
        """
        Conv1D Conv2D Conv3D Convolution1D Convolution2D Convolution3D Conv1DTranspose Conv2DTranspose \
        Conv3DTranspose DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D SeparableConvolution1D \
        SeparableConvolution2D ConvLSTM1D ConvLSTM2D ConvLSTM3D
        """
      ),
      (
        .pooling,
        """
        MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D MaxPool1D \
        MaxPool2D MaxPool3D AvgPool1D AvgPool2D AvgPool3D AdaptiveAveragePooling1D AdaptiveAveragePooling2D \
        AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D UpSampling1D \
        UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D Cropping3D \
        Resizing CenterCrop RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom RandomShear \
        RandomPerspective RandomElasticTransform RandomGaussianBlur RandomErasing
        """
      ),
      (
        .globalPooling,
        """
        GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D \
        GlobalMaxPooling2D GlobalMaxPooling3D GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D \
        GlobalMaxPool2D GlobalMaxPool3D
        """
      ),
      (.projection, "Dense EinsumDense"),
      (.recurrent, "LSTM GRU SimpleRNN RNN Bidirectional CuDNNLSTM CuDNNGRU"),
      (
        .attention,
        "MultiHeadAttention GroupQueryAttention GroupedQueryAttention Attention AdditiveAttention"
      ),
      (.normalization, "LayerNormalization RMSNormalization GroupNormalization"),
      (.batchNormalization, "BatchNormalization BatchNormalizationV1 SyncBatchNormalization"),
      (.embedding, "Embedding"), (.flatten, "Flatten"), (.reshape, "Reshape"),
      (.permute, "Permute"), (.repeatVector, "RepeatVector"), (.concatenation, "Concatenate"),
      (.merge, "Add Subtract Multiply Average Maximum Minimum"),
      (.timeDistributed, "TimeDistributed"),
    ]
    for (kind, list) in groups {
      for name in list.split(whereSeparator: \.isWhitespace) { names[String(name)] = kind }
    }
    return names
  }()

  /// Operations of Keras 3 between layers that treat each element for itself.
  private static let operations: Set<String> = [
    "Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum", "Relu", "Relu6",
    "Sigmoid", "Tanh", "Silu", "Gelu", "Elu", "Selu", "LeakyRelu", "Softplus", "Softsign", "Exp",
    "Log", "Sqrt", "Rsqrt", "Square", "Abs", "Absolute", "Negative", "Power", "Clip", "Cast",
    "HardSigmoid", "HardSilu", "Identity", "Softmax",
  ]

  init(_ layer: KerasGraphLayer) {
    if layer.isOperation {
      self = KerasLayerKind.operations.contains(layer.className) ? .merge : .opaque
    } else if layer.layers != nil {
      self = .model
    } else {
      self = KerasLayerKind.names[layer.className] ?? .opaque
    }
  }

  /// Whether PyTorch's module takes channels first.
  var isSpatial: Bool { self == .convolution || self == .pooling }
}
